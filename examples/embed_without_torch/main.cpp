// SPDX-License-Identifier: Apache-2.0
// Loss and gradient in a program without torch: logits in plain memory become their gradient.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/loss/objective.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

namespace {

/// Sequences [2P, length]: the chosen answers, then the rejected ones. Labels of −100 do not count;
/// the reference's log-probabilities are those of whole answers, [P].
struct Batch {
  std::span<const std::int64_t> labels;
  std::int64_t length;
  std::span<const double> reference_chosen;
  std::span<const double> reference_rejected;
  std::span<const double> beta;
};

/// The mean loss of the pairs. `logits` [2P · length, vocab] is overwritten with its gradient.
double mean_loss(const Batch& batch, std::span<float> logits, std::int64_t vocab) {
  const auto pairs = std::ssize(batch.beta);
  const auto rows = std::ssize(batch.labels);
  const sp2dpo::LogitRows logit_rows{logits.data(), sp2dpo::DType::float32, rows, vocab,
                                     vocab,         {.stride = vocab}};
  const sp2dpo::RowLabels labels{batch.labels.data()};
  const sp2dpo::PairRows answers({.count = 2 * pairs, .length = batch.length}, labels, rows);

  // First pass: a log-probability for each row.
  std::vector<double> log_prob(batch.labels.size());
  std::vector<double> lse_others(batch.labels.size());
  sp2dpo::cpu::row_log_probs(logit_rows, labels, {0, rows},
                             {.log_prob = log_prob.data(), .lse_others = lse_others.data()});

  // Between the passes: the pairs' losses, each with its own beta, and what they make of the rows.
  using enum sp2dpo::DType;
  std::vector<double> chosen(batch.beta.size()), rejected(batch.beta.size());
  std::vector<double> d_chosen(batch.beta.size()), d_rejected(batch.beta.size());
  const sp2dpo::AnyObjective objective = sp2dpo::Sigmoid();
  sp2dpo::SequenceLoss loss{.rows = answers, .objective = objective};
  loss.inputs.reference_chosen = {batch.reference_chosen.data(), float64};
  loss.inputs.reference_rejected = {batch.reference_rejected.data(), float64};
  loss.inputs.beta = {batch.beta.data(), float64};
  loss.outputs.d_policy_chosen = {d_chosen.data(), float64};
  loss.outputs.d_policy_rejected = {d_rejected.data(), float64};
  loss.outputs.gradient_scale = 1.0 / static_cast<double>(pairs);
  sp2dpo::LossSum sum;
  sequence_step(loss, 0, pairs, log_prob.data(), chosen.data(), rejected.data(), sum);

  std::vector<double> coefficient(batch.labels.size());
  row_coefficients(loss, 0, pairs, {d_chosen.data(), float64}, {d_rejected.data(), float64}, 1.0,
                   coefficient.data());

  // Second pass: the gradient, in the place of the logits.
  sp2dpo::cpu::row_gradient(logit_rows, labels, {0, rows}, lse_others.data(), coefficient.data(),
                            {logits.data(), logit_rows.layout});
  return sum.total(loss);
}

}  // namespace

int main() {
  constexpr std::int64_t vocab = 5, length = 3;
  const std::vector<std::int64_t> labels{-100, 1, 4,     // the prompt's tokens do not count,
                                         -100, 2, 0,     // two chosen answers
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
