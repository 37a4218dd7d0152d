// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <system_error>

namespace sp2dpo::text {

/// Follows symbolic links to the file or, if it does not exist, to the name that it would get. The
/// standard's weakly_canonical() stops at a link whose target is missing.
inline std::filesystem::path link_target(std::filesystem::path path) {
  constexpr int max_links = 40;  // as many as Linux follows
  for (int links = 0; links < max_links; ++links) {
    std::error_code no_link;
    const std::filesystem::path target = std::filesystem::read_symlink(path, no_link);
    if (no_link) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

}  // namespace sp2dpo::text
