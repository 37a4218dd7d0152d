// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "logits.hpp"
#include "pairs.hpp"

/// The losses of logits where the tensors are on a device: nothing waits for it, and nothing is
/// known here of the labels' values.
namespace sp2dpo::on_device {

/// The answers' log-probabilities, from those of their rows.
struct AnswerSums {
  AnswerSums(const LabelledPairs& pairs, const at::Tensor& row_log_prob, bool average,
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

}  // namespace sp2dpo::on_device
