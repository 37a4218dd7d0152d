// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pair_variables.hpp"
#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {

/// A loss of log-probabilities and the columns of its PairTable.
struct LogProbsParts {
  at::Tensor loss;
  at::Tensor columns;
};

/// A call as autograd sees it, which keeps it until the graph is gone: everything but the tensors
/// that may ask for a gradient.
struct LogProbsStep : torch::CustomClassHolder {
  /// The loss without autograd.
  [[nodiscard]] virtual LogProbsParts forward(const PairVariables& variables) const = 0;

  /// The columns, each differentiated along `direction`, whose undefined members stand for zeros.
  /// loss_column is that of the loss as it is divided.
  [[nodiscard]] virtual at::Tensor curvature(const PairVariables& variables,
                                             const PairVariables& direction) const = 0;

  /// The gradients among `columns` times `upstream`, for the variables that `needs` names.
  [[nodiscard]] virtual PairVariables gradient(const at::Tensor& columns,
                                               const at::Tensor& upstream,
                                               const PairVariables& variables) const {
    return scaled_gradients(columns, upstream, variables, needs);
  }

  PairNeeds needs{};
};

/// Records which variables ask for a gradient, and gives the loss one.
LogProbsParts with_gradient(const c10::intrusive_ptr<LogProbsStep>& step,
                            const PairVariables& variables);

/// The step that runs the pair loop where the tensors are. Throws c10::Error for a call that is
/// wrong.
c10::intrusive_ptr<LogProbsStep> log_probs_step(const AnyObjective& objective,
                                                const LossOptions& options, const LogProbs& policy,
                                                const LogProbs& reference,
                                                const Controls& controls);

}  // namespace sp2dpo
