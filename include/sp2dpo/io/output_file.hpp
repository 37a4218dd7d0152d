// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sp2dpo::io {

/// A file that appears under its name whole or not at all: it is written beside that name, and
/// commit() renames it into place. A target that exists and is no regular file (/dev/stdout, a
/// pipe) is written to straight away. What fails throws DataError with the path and the reason.
///
///     OutputFile out("metrics.csv");
///     out.write("step,loss\n");
///     out.commit();
class OutputFile {
 public:
  /// Throws where the file cannot be made, so before the work whose result it is to hold.
  explicit OutputFile(std::filesystem::path path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Without a commit() before it, removes what was written; the file of that name stays as it was.
  ~OutputFile();

  void write(std::string_view bytes);
  /// Everything is on the disk, under its name, when this returns. No write() may follow.
  void commit();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void flush();

  std::filesystem::path path_;       // as given, for messages
  std::filesystem::path target_;     // behind symbolic links
  std::filesystem::path temporary_;  // empty: written to straight
  std::string buffer_;
  int descriptor_ = -1;
};

}  // namespace sp2dpo::io
