// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "memory.hpp"

namespace sp2dpo::ptx {

inline constexpr std::uint32_t warp_size = 32;

using Extent = std::array<std::uint32_t, 3>;

inline std::uint32_t product(const Extent& extent) {
  return extent[0] * extent[1] * extent[2];
}

inline Extent coordinates(std::uint32_t number, const Extent& extent) {
  return {number % extent[0], number / extent[0] % extent[1], number / extent[0] / extent[1]};
}

/// The barriers that a thread has passed.
struct Progress {
  Stamp now;                           ///< `cluster` counts arrivals at the cluster's barrier
  std::uint32_t cluster_barriers = 0;  ///< departures from it
};

enum class Access { read, write, atomic };

/// Decides which accesses of a launch are ordered. Two are, only if a barrier of a group that
/// contains both threads separates them, whatever order they were run in.
class Races {
 public:
  /// `first_thread` is the number of the launch's first thread. Lower numbers belong to earlier
  /// launches, or to the host.
  Races(std::uint32_t first_thread, const Extent& grid, const Extent& block,
        std::uint32_t blocks_per_cluster)
      : first_(first_thread),
        grid_(grid),
        block_(block),
        threads_(product(block)),
        blocks_(blocks_per_cluster) {}

  /// Records the access in the cell. Returns what is wrong with it, or "".
  std::string touch(Cell& cell, const Progress& thread, Access access) const;

  /// Returns what is wrong if the block of `last` ends with its memory in this state, or "".
  [[nodiscard]] std::string at_end_of_block(const Cell& cell, const Progress& last) const;

  /// "block 3 thread 17", "block (1, 0, 2) thread 17"
  [[nodiscard]] std::string name(std::uint32_t thread) const;

 private:
  [[nodiscard]] Scope scope_of(const Stamp& before, const Progress& thread) const;
  [[nodiscard]] bool in_order(const Stamp& before, Scope scope, const Progress& thread) const;

  std::uint32_t first_;
  Extent grid_, block_;
  std::uint32_t threads_, blocks_;
};

}  // namespace sp2dpo::ptx
