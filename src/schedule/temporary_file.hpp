// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <system_error>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::detail {

/// An unnamed temporary file, deleted with this object. Throws Error if it cannot be written or
/// read.
class TemporaryFile {
 public:
  /// Appends to the file, which the first call creates.
  void append(const void* bytes, std::size_t size) {
    if (!file_) file_.reset(std::tmpfile());
    if (!file_ || std::fseek(file_.get(), 0, SEEK_END) != 0 ||
        std::fwrite(bytes, 1, size, file_.get()) != size || std::fflush(file_.get()) != 0)
      fail("written");
  }

  /// Reads `size` bytes from `offset`, which must exist. Several threads may read at the same time.
  void read(std::int64_t offset, void* to, std::size_t size) const {
    const std::lock_guard lock(*reading_);
    if (std::fseek(file_.get(), static_cast<long>(offset), SEEK_SET) != 0 ||
        std::fread(to, 1, size, file_.get()) != size)
      fail("read");
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    throw Error(fmt::format("a temporary file cannot be {}: {}", what,
                            std::generic_category().message(errno)));
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<std::mutex> reading_ = std::make_unique<std::mutex>();
};

}  // namespace sp2dpo::detail
