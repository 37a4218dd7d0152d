// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace sp2dpo::cuda {

/// Device memory for a call's own use, for one call at a time.
struct RowMemory {
  void* workspace = nullptr;  ///< 16-byte aligned
  std::size_t workspace_bytes = 0;
  /// Null, or one word that the caller has set to no_bad_row. The call lowers it to the lowest row
  /// number whose label is invalid.
  std::uint64_t* bad_row = nullptr;
};
inline constexpr std::uint64_t no_bad_row =
    ~std::uint64_t{0};  ///< the value that a memset of 0xff writes

}  // namespace sp2dpo::cuda
