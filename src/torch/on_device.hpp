// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hidden.hpp"
#include "logits.hpp"
#include "pairs.hpp"

/// The losses of logits and of hidden states where the tensors are on a device: nothing waits for
/// it, and nothing is known here of what is there.
namespace sp2dpo::on_device {

/// The answers' log-probabilities.
struct SequenceSums {
  SequenceSums(std::int64_t pairs, const at::Device& device);
  /// From those of their rows.
  SequenceSums(const LabelledPairs& pairs, const at::Tensor& row_log_prob, bool average,
               bool empty_allowed);

  at::Tensor log_probs;  ///< float64 [2, P]; NaN for an empty answer where none is allowed
  at::Tensor rows;       ///< int64 [2, P]: how many count
};

/// The step between the two passes over the rows.
struct PairStep {
  PairStep(const LogitsCall& call, const RowPass& pass);

  PairTable table;
  at::Tensor coefficient;   ///< float64 [R]
  at::Tensor reduced_loss;  ///< as it is handed out
  detail::PairRecord record;
};

/// The loss of hidden states and its record, as they are handed out, to `result`; the gradients go
/// to where `rows` says. The reference is that of the answers, float64 [2, P], or undefined; or
/// `reference_hidden` are the hidden states of one under the same head.
void hidden_loss(const HiddenRows& rows, const LabelledPairs& pairs, const AnyObjective& objective,
                 const LossOptions& options, const Controls& controls, const at::Tensor& reference,
                 const ConstMatrix& reference_hidden, std::int64_t chunk_rows,
                 const at::Device& device, HiddenParts& result);

/// The answers' log-probabilities under a reference, float64 [2, P].
at::Tensor hidden_answers(const HiddenRows& rows, const LabelledPairs& pairs, bool average,
                          std::int64_t chunk_rows, const at::Device& device);

}  // namespace sp2dpo::on_device
