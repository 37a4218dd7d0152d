// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace sp2dpo::annotate {

/// Returns the absolute path of a store's file, symbolic links followed, for SQLite. Throws
/// DataError for a name under which nothing would be kept: an empty one, SQLite's special names
/// (`:memory:`, `file:` URIs), a device, a pipe or a folder.
[[nodiscard]] std::filesystem::path store_file(const std::filesystem::path& path);

/// True for a store that is complete in one file of a folder that cannot be written to, such as a
/// read-only medium. SQLite would want to create files beside it.
[[nodiscard]] bool is_frozen(const std::filesystem::path& file);

/// The URI by which SQLite reads a frozen file.
[[nodiscard]] std::string immutable_uri(const std::filesystem::path& file);

}  // namespace sp2dpo::annotate
