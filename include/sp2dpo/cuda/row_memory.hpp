// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace sp2dpo::cuda {

/// Device memory for a call's own use.
struct RowMemory {
  void* workspace = nullptr;  ///< 16-byte aligned
  std::size_t workspace_bytes = 0;
  /// One word, to be set to no_bad_row before, or null: lowered to the lowest row number with a bad
  /// label.
  std::uint64_t* bad_row = nullptr;
};
inline constexpr std::uint64_t no_bad_row = ~std::uint64_t{0};  ///< what a memset of 0xff writes

}  // namespace sp2dpo::cuda
