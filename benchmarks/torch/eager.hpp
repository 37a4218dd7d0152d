// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "batch.hpp"

/// DPO written with libtorch's own operations.
namespace sp2dpo::benchmarks {

enum class LogProbsBy { log_softmax, logsumexp };

/// Computes the loss and, by autograd, the gradients with respect to a batch's inputs.
struct LossAndGradients {
  at::Tensor loss;
  std::vector<at::Tensor> gradients;
};
LossAndGradients eager_loss(const Batch& batch, LogProbsBy by = LogProbsBy::log_softmax);

/// The same at level 1, with the metrics that a trainer logs.
LossAndGradients eager_loss_and_metrics(const Batch& batch, std::map<std::string, double>& metrics);

}  // namespace sp2dpo::benchmarks
