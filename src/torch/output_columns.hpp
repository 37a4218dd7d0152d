// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sp2dpo {

/// The columns of PairRecord::columns, one number a pair each: what pair_loss writes.
enum OutputColumn : std::int64_t {
  loss_column,
  chosen_reward_column,
  rejected_reward_column,
  delta_column,
  d_chosen_column,
  d_rejected_column,
  d_beta_column,
  d_margin_column,
  column_count
};
inline constexpr OutputColumn first_gradient = d_chosen_column;
inline constexpr std::int64_t gradient_count = column_count - first_gradient;

}  // namespace sp2dpo
