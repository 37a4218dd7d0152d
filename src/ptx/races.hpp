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

/// How far a thread has come.
struct Progress {
  Stamp now;                           ///< `cluster` counts its arrivals at the cluster's barrier
  std::uint32_t cluster_barriers = 0;  ///< those it has left
};

enum class Access { read, write, atomic };

/// Which accesses of a launch's threads are in order. Two are only if the barrier of a group that
/// holds both threads lies between them, whatever order they were run in.
class Races {
 public:
  /// `first_thread` is the number of the launch's first; all below are of launches before it, or
  /// the host.
  Races(std::uint32_t first_thread, const Extent& grid, const Extent& block,
        std::uint32_t blocks_per_cluster)
      : first_(first_thread),
        grid_(grid),
        block_(block),
        threads_(product(block)),
        blocks_(blocks_per_cluster) {}

  /// Notes the access in the cell. Returns what is wrong with it, or "".
  std::string touch(Cell& cell, const Progress& thread, Access access) const;

  /// What is wrong if the last thread of a block ends while the block's memory has been used so.
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
