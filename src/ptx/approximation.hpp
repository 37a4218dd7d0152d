// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sp2dpo::ptx {

/// The error of ex2.approx and its kin, within their documented bounds: none, always one end of the
/// bounds, or a number derived from a seed and the operand's bits. No hardware errs like the last,
/// but the PTX manual allows it, so code has to bear it.
struct Approximation {
  enum class Error { none, lowest, highest, seeded };
  Error error = Error::none;
  std::uint64_t seed = 0;

  /// Returns the error as a part of the bound, in [−1, 1].
  [[nodiscard]] double of(std::uint64_t operand) const;
};

/// The error that applies to all instructions; tests assign to it.
Approximation& approximation();

}  // namespace sp2dpo::ptx
