// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "backend.hpp"
#include "sequences.hpp"
#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include <sp2dpo/loss/logit_rows.hpp>

namespace sp2dpo {

/// A checked call, without the tensors that may ask for a gradient. Borrows its arguments.
struct LogitsCall {
  LogitsCall(const AnyObjective& objective, const LossOptions& options,
             const detail::LogitsArguments& arguments);

  [[nodiscard]] SequenceCall sequences() const {
    return {objective, options, arguments.controls, pairs, reference, dtype};
  }
  [[nodiscard]] LogitsJob job() const { return {.logits = rows, .labels = pairs.row_labels()}; }

  const AnyObjective& objective;
  const LossOptions& options;
  const detail::LogitsArguments arguments;
  std::shared_ptr<const Backend> backend;
  LogitRows rows;
  at::ScalarType dtype;  // of what is returned
  LabelledPairs pairs;
  at::Tensor reference;  // float64 [2, P], or undefined
};

/// The tensors that a loss of logits is differentiable by; beta and margin are undefined if they
/// are numbers.
struct LogitsVariables {
  at::Tensor logits, beta, margin;
};

/// A loss of logits and what its backward needs.
struct LogitsParts {
  at::Tensor loss;
  at::Tensor lse_others;        ///< float64 [R], by row number
  at::Tensor coefficient;       ///< float64 [R]: the loss's derivative by the row's log-probability
  at::Tensor pair_of_row;       ///< int64 [R] with Reduction::none, else empty
  at::Tensor d_beta, d_margin;  ///< float64 [P]: gradients
  detail::PairRecord record{};  ///< set by logits_forward only
};

/// The loss without autograd.
LogitsParts logits_forward(const LogitsCall& call);

/// The gradient by the logits, from LogitsParts::coefficient times the upstream gradient. Autograd
/// keeps it until the graph is gone.
struct LogitsBackward : torch::CustomClassHolder {
  [[nodiscard]] virtual at::Tensor operator()(const at::Tensor& logits, const at::Tensor& labels,
                                              const at::Tensor& lse_others,
                                              const at::Tensor& coefficient) const = 0;
};

/// The loss that `forward` computes, with a gradient for each variable that asks for one.
LogitsParts with_gradient(const LogitsVariables& variables, const at::Tensor& labels,
                          const std::function<LogitsParts()>& forward,
                          const c10::intrusive_ptr<LogitsBackward>& backward);

}  // namespace sp2dpo
