// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {

/// A loss of log-probabilities and what becomes of each pair: PairTable's rows.
struct LogProbsParts {
  at::Tensor loss;
  at::Tensor rows;
};

/// A call as autograd sees it, which keeps it until the graph is gone: everything but the tensors
/// that may ask for a gradient.
struct LogProbsStep : torch::CustomClassHolder {
  /// policy.chosen, policy.rejected, beta and margin; the last two undefined where they are
  /// numbers.
  using Variables = std::array<at::Tensor, 4>;

  /// No more than values: what calls this takes care of the gradients.
  [[nodiscard]] virtual LogProbsParts forward(const Variables& variables) const = 0;

  /// The rows, each differentiated along `direction`, whose undefined members stand for zeros.
  /// loss_row is that of the loss as it is divided.
  [[nodiscard]] virtual at::Tensor curvature(const Variables& variables,
                                             const Variables& direction) const = 0;

  /// The gradients among `rows` times `upstream`, for the variables that `needs` names.
  [[nodiscard]] virtual torch::autograd::tensor_list gradient(const at::Tensor& rows,
                                                              const at::Tensor& upstream,
                                                              const Variables& variables) const;

  std::array<bool, 4> needs{};
};

/// Takes note of which variables ask for a gradient, and gives the loss one.
LogProbsParts with_gradient(const c10::intrusive_ptr<LogProbsStep>& step,
                            const LogProbsStep::Variables& variables);

/// The step that runs the pair loop where the tensors are. Throws c10::Error for a call that is
/// wrong.
c10::intrusive_ptr<LogProbsStep> log_probs_step(const AnyObjective& objective,
                                                const LossOptions& options, const LogProbs& policy,
                                                const LogProbs& reference,
                                                const Controls& controls);

}  // namespace sp2dpo
