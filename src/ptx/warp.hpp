// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "kernel.hpp"
#include "races.hpp"

namespace sp2dpo::ptx {

/// The threads of a warp that carry out an instruction together.
struct Lanes {
  std::uint32_t mask = 0;
  std::array<std::uint64_t*, warp_size> slots{};  ///< of those in the mask
};

/// Shuffle, vote or reduction: each lane's result becomes known to it. Returns the lanes that took
/// theirs from one outside the mask, as a mask.
std::uint32_t exchange(const Instruction& in, const Lanes& lanes);

}  // namespace sp2dpo::ptx
