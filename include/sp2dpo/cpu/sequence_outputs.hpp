// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/loss/logit_rows.hpp>

namespace sp2dpo::cpu {

/// The arrays that a loss of sequences writes by pair [P] and by row number [R], float64. An array
/// left null is kept in the workspace, except rows.logit_sum, which is then not computed.
struct SequenceOutputs {
  RowStatistics rows{};               ///< [R] each; rows of no sequence are left as they are
  double* policy_chosen = nullptr;    ///< [P]: the policy's log-probabilities
  double* policy_rejected = nullptr;  ///< [P]
  /// [P]: derivatives of the loss by them. loss.outputs.d_policy_chosen must write this array, and
  /// must be empty where the array is null.
  double* d_chosen = nullptr;
  double* d_rejected = nullptr;   ///< [P]: the same for loss.outputs.d_policy_rejected
  double* coefficient = nullptr;  ///< [R]: the loss's derivative by each row's log-probability
};

}  // namespace sp2dpo::cpu
