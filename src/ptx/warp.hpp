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
  std::array<std::uint64_t*, warp_size> slots{};  ///< of the lanes in the mask
};

/// Carries out a shuffle, vote or reduction. Returns a mask of the lanes that read from a lane
/// outside of the mask.
std::uint32_t exchange(const Instruction& in, const Lanes& lanes);

}  // namespace sp2dpo::ptx
