// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "sequences.hpp"
#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include <sp2dpo/loss/logit_rows.hpp>

namespace sp2dpo {

/// A tensor of logits as the row kernels take it. Throws c10::Error where it is none.
LogitRows logit_rows(const char* name, const at::Tensor& logits,
                     const std::optional<std::int64_t>& vocab_size);

/// Log-probabilities of the answers under a reference given as logits: float64 [2, P]. The rows are
/// those of `policy`.
at::Tensor logits_answers(const ReferenceLogits& reference, const at::Tensor& policy,
                          const LabelledPairs& pairs, bool average,
                          const std::optional<std::int64_t>& vocab_size);

/// A checked call: everything but the tensors that may ask for a gradient. Borrows its arguments.
struct LogitsCall {
  LogitsCall(const AnyObjective& objective, const LossOptions& options, const at::Tensor& logits,
             const at::Tensor& labels, const Reference& reference, const Controls& controls,
             const LogitsOptions& how);

  /// The loss that `outputs` are to be made of.
  [[nodiscard]] SequenceLoss loss(PairOutputs& outputs) const {
    return sequence_loss(pairs, objective, options, controls, reference, outputs);
  }

  const AnyObjective& objective;
  const LossOptions& options;
  const Controls& controls;
  const LogitsOptions& how;
  LogitRows rows;
  at::Device device;
  at::ScalarType dtype;  // of what is handed out
  LabelledPairs pairs;
  at::Tensor reference;  // float64 [2, P], or undefined
};

/// What the first pass over the rows leaves behind, float64 by row number, where the logits are.
struct RowPass {
  explicit RowPass(const LogitsCall& call);

  [[nodiscard]] RowStatistics statistics() const {
    return {log_prob.data_ptr<double>(), lse_others.data_ptr<double>(),
            logit_sum.defined() ? logit_sum.data_ptr<double>() : nullptr};
  }

  at::Tensor log_prob, lse_others, logit_sum;
  at::Tensor bad_row;  ///< on a device: see on_cuda::row_log_probs
};

/// A loss of logits and what its backward needs.
struct LogitsParts {
  at::Tensor loss;
  at::Tensor lse_others;      ///< float64 [R], by row number
  at::Tensor coefficient;     ///< float64 [R]: the loss's derivative by the row's log-probability
  at::Tensor pair_of_row;     ///< int64 [R] with Reduction::none, else empty
  at::Tensor beta, margin;    ///< float64 [P]: gradients
  detail::PairRecord record;  ///< only for whom it is made by logits_forward
};

/// Values alone: what calls this takes care of the gradients.
LogitsParts logits_forward(const LogitsCall& call);

/// The gradient by the logits, from LogitsParts::coefficient times the upstream gradient. Kept by
/// autograd until the graph is gone.
struct LogitsBackward : torch::CustomClassHolder {
  [[nodiscard]] virtual at::Tensor operator()(const at::Tensor& logits, const at::Tensor& labels,
                                              const at::Tensor& lse_others,
                                              const at::Tensor& coefficient) const = 0;
};

/// The loss that `forward` makes, with a gradient for whichever of logits, beta and margin asks for
/// one; the latter two may be undefined.
LogitsParts with_gradient(const at::Tensor& logits, const at::Tensor& labels,
                          const at::Tensor& beta, const at::Tensor& margin,
                          const std::function<LogitsParts()>& forward,
                          const c10::intrusive_ptr<LogitsBackward>& backward);

/// The passes over all rows, where the tensors are. `bad_row` is for a device only.
void row_log_probs(const LogitRows& rows, const RowLabels& labels, const RowStatistics& out,
                   const at::Tensor& bad_row);
void row_gradient(const LogitRows& rows, const RowLabels& labels, const at::Tensor& lse_others,
                  const at::Tensor& coefficient, const at::Tensor& out);
/// Both in one, for coefficients known beforehand.
void row_log_probs_and_gradient(const LogitRows& rows, const RowLabels& labels,
                                const RowStatistics& out, const at::Tensor& coefficient,
                                const at::Tensor& gradient, const at::Tensor& bad_row);

}  // namespace sp2dpo
