// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sp2dpo::ptx {

/// How far ex2.approx and its like are off, within their documented bounds: not at all, always at
/// one end, or anywhere, by a seed and the operand's bits. The last is no function of the operand
/// that hardware has, yet one that code has to bear.
struct Approximation {
  enum class Error { none, lowest, highest, seeded };
  Error error = Error::none;
  std::uint64_t seed = 0;

  /// In [−1, 1].
  [[nodiscard]] double of(std::uint64_t operand) const;
};

/// The one in force.
Approximation& approximation();

}  // namespace sp2dpo::ptx
