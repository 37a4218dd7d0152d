// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include <sp2dpo/loss/objective.hpp>

/// A Huber loss of the distance from z to a target: a square near the target and a straight line
/// further out, which bounds the pull of a mislabelled pair. Like DPO's loss it makes
/// z = beta · delta − margin grow, but only up to the target.
struct HuberPair {
  static constexpr const char* name = "huber_pair";
  double target = 1;
  double width = 2;  ///< half-width of the square part

  template <class T>
  SP2DPO_HD sp2dpo::ZTerm<T> operator()(T z) const {
    const T miss = z - target;
    if (miss > width) return {width * (miss - width / 2), T(width)};
    if (miss < -width) return {-width * (miss + width / 2), T(-width)};
    return {miss * miss / 2, miss};
  }

  [[nodiscard]] std::string complaint() const {
    return width > 0 ? "" : "width must be > 0, not " + std::to_string(width);
  }
};
