// SPDX-License-Identifier: Apache-2.0
// Loss and gradient in a program without torch: logits in plain memory become their gradient.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include <sp2dpo/cpu/logits.hpp>

namespace {

/// Sequences [2P, length]: the chosen responses, then the rejected ones. Labels of −100 do not
/// count. The reference's log-probabilities are those of whole responses, [P].
struct Batch {
  std::span<const std::int64_t> labels;
  std::int64_t length;
  std::span<const double> reference_chosen;
  std::span<const double> reference_rejected;
  std::span<const double> beta;
};

/// The mean loss of the pairs. `logits` [2P · length, vocab] is overwritten with its gradient.
double mean_loss(const Batch& batch, std::span<float> logits, std::int64_t vocab) {
  using enum sp2dpo::DType;
  const auto pairs = std::ssize(batch.beta), rows = std::ssize(batch.labels);
  const sp2dpo::RowLayout layout{.stride = vocab};
  const sp2dpo::LogitsJob job{.logits = {logits.data(), float32, rows, vocab, vocab, layout},
                              .labels = {batch.labels.data()},
                              .gradient = {logits.data(), layout}};
  const sp2dpo::PairRows pair_rows({.count = 2 * pairs, .length = batch.length}, job.labels, rows);
  const sp2dpo::AnyObjective objective = sp2dpo::Sigmoid();
  sp2dpo::SequenceLoss loss{.rows = pair_rows, .objective = objective};
  loss.inputs.reference_chosen = {batch.reference_chosen.data(), float64};
  loss.inputs.reference_rejected = {batch.reference_rejected.data(), float64};
  loss.inputs.beta = {batch.beta.data(), float64};
  loss.outputs.gradient_scale = 1.0 / static_cast<double>(pairs);
  std::vector<char> workspace(sp2dpo::cpu::logits_workspace(job.logits, pair_rows));
  return sp2dpo::cpu::logits_loss(job, loss, workspace.data()).total(loss);
}

}  // namespace

int main() {
  constexpr std::int64_t vocab = 5, length = 3;
  const std::vector<std::int64_t> labels{-100, 1, 4,     // the prompt's tokens do not count,
                                         -100, 2, 0,     // two chosen responses
                                         -100, 3, -100,  // and two rejected ones
                                         -100, 2, 3};
  const std::vector<double> reference_chosen{-3.2, -3.0}, reference_rejected{-1.6, -3.3};
  const std::vector<double> beta{0.05, 0.28};
  const Batch batch{labels, length, reference_chosen, reference_rejected, beta};

  std::vector<float> logits(labels.size() * vocab);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i));
  std::vector<float> gradient = logits;
  std::printf("loss %.6f, gradient:\n", mean_loss(batch, gradient, vocab));
  for (std::size_t row = 0; row < labels.size(); ++row) {
    for (std::size_t j = 0; j < vocab; ++j) std::printf("%10.6f", gradient[row * vocab + j]);
    std::printf("\n");
  }

  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] -= gradient[i];
  std::printf("loss %.6f after a step of 1 against it\n", mean_loss(batch, logits, vocab));
}
