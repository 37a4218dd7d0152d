// SPDX-License-Identifier: Apache-2.0

// Your own objective at all three levels. objective.hpp has a formula and its slope, nothing else.
// The compiled library knows no objective: yours is a template argument of Loss, and for tensors on
// a GPU one line in a file of yours (on_cuda.cu).
//
//     cmake -S examples/custom_objective -B build/custom_objective -DCMAKE_PREFIX_PATH=<sp2dpo>
//     cmake --build build/custom_objective && build/custom_objective/custom_objective
//
// Prints the loss and its derivative by the head's weight along one direction, computed through
// each level. Returns 1 if they differ.

#include <cmath>
#include <cstdio>
#include <exception>
#include <utility>

#include "objective.hpp"
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <sp2dpo/torch/loss.hpp>

namespace {

constexpr std::int64_t pairs = 4, length = 6, vocab = 50, width = 8;
using torch::Tensor;

/// Computes the log-probability of each sequence's labels [2P] with libtorch.
Tensor log_probs_of(const Tensor& logits, const Tensor& labels) {
  return torch::log_softmax(logits, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1).sum(-1);
}

/// Returns the loss and its derivative by the head's weight along `direction`.
std::pair<double, double> value_and_slope(const Tensor& loss, const Tensor& weight,
                                          const Tensor& direction) {
  const Tensor slope = torch::autograd::grad({loss}, {weight})[0];
  return {loss.item<double>(), (slope * direction).sum().item<double>()};
}

}  // namespace

int main() {
  torch::manual_seed(1);
  const auto float64 = torch::TensorOptions(torch::kFloat64);
  const Tensor hidden = torch::randn({2 * pairs, length, width}, float64);
  const Tensor weight = torch::randn({vocab, width}, float64).requires_grad_();
  const Tensor direction = torch::randn({vocab, width}, float64);
  const Tensor labels = torch::randint(vocab, {2 * pairs, length}, torch::kInt64);
  const Tensor beta = torch::linspace(0.03, 0.3, pairs, float64);

  const sp2dpo::Loss<HuberPair> loss({.target = 1, .width = 0.5});
  const sp2dpo::LogProbs none{torch::zeros({pairs}, float64), torch::zeros({pairs}, float64)};
  const Tensor log_probs = log_probs_of(hidden.matmul(weight.t()), labels);
  const struct {
    const char* level;
    Tensor loss;
  } levels[] = {
      {"log-probabilities", loss({log_probs.narrow(0, 0, pairs), log_probs.narrow(0, pairs, pairs)},
                                 none, {.beta = beta})
                                .loss},
      {"logits", loss.from_logits(hidden.matmul(weight.t()), labels, none, {.beta = beta}).loss},
      {"hidden states", loss.from_hidden(hidden, weight, {}, labels, none, {.beta = beta}).loss},
  };

  std::printf("%-18s %18s %18s\n", "HuberPair from", "loss", "slope");
  bool agree = true;
  const auto wanted = value_and_slope(levels[0].loss, weight, direction);
  for (const auto& [level, value] : levels) {
    const auto [number, slope] =
        &value == &levels[0].loss ? wanted : value_and_slope(value, weight, direction);
    std::printf("%-18s %18.14f %18.14f\n", level, number, slope);
    agree = agree && std::fabs(number - wanted.first) < 1e-12 &&
            std::fabs(slope - wanted.second) < 1e-11;
  }
  return agree ? 0 : 1;
}
