// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sp2dpo::io {

/// Writes a file atomically: to a temporary file in its folder, which commit() renames into place.
/// The temporary file has no name until then where the file system can do so (Linux: most local
/// ones), so that a killed process leaves nothing behind. A target that exists and is not a regular
/// file (/dev/stdout, a pipe) is written to directly.
/// Errors throw DataError with path and reason. Not thread-safe.
///
///     OutputFile out("metrics.csv");
///     out.write("step,loss\n");
///     out.commit();
class OutputFile {
 public:
  /// Throws if the file cannot be created, so that callers fail before they do the work.
  explicit OutputFile(std::filesystem::path path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Without commit(), removes the temporary file and leaves the target untouched.
  ~OutputFile();

  /// Appends bytes. Throws DataError if the disk refuses them.
  void write(std::string_view bytes);
  /// Flushes to disk and renames the file into place. No write() may follow.
  void commit();

  /// The name that commit() gives the file.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void flush();

  std::filesystem::path path_;       // as given; used in messages
  std::filesystem::path target_;     // symbolic links resolved
  std::filesystem::path temporary_;  // beside target_; empty: target_ is written directly
  bool named_ = false;               // temporary_ exists
  std::string buffer_;
  int descriptor_ = -1;
};

}  // namespace sp2dpo::io
