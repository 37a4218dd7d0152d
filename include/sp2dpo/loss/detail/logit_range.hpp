// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include <sp2dpo/loss/detail/host_device.hpp>

/// The range of logits that the row kernels compute with, on every device alike. Up to 1e9, the
/// exponents of float sums are near enough to integers; a float there has a step of 64. A row whose
/// largest logit is above is NaN, log-probability and gradient. Logits below −1e9, such as −inf and
/// a type's lowest number, have probability 0, and a row of nothing else is NaN.
namespace sp2dpo::detail {

inline constexpr double largest_logit = 1e9;
/// −1e9 · log2(e), which a float holds exactly: lower than every exponent that counts.
inline constexpr float lowest_exponent = -1442695040.0f;

/// Returns d = lse_others − z for a label's logit z, by which log p is −softplus(d). Returns NaN
/// for a row out of range: a label's logit of +inf would otherwise look like certainty, and one
/// that is masked like all others like any number. lse_others is −inf where all others are masked.
[[nodiscard]] SP2DPO_HD inline double label_distance(double lse_others, double z) {
  if (z > largest_logit || (z < -largest_logit && lse_others < -2 * largest_logit)) return NAN;
  return lse_others - z;
}

}  // namespace sp2dpo::detail
