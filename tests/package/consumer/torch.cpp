// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/Functions.h>

#include <sp2dpo/torch/loss.hpp>

int main() {
  const at::Tensor log_probs = at::zeros({3});
  const sp2dpo::Loss<> loss;
  const auto out = loss({log_probs, log_probs}, {log_probs, log_probs}, {.beta = 0.1});
  return std::fabs(out.loss.item<double>() - std::log(2)) < 1e-6 ? 0 : 1;
}
