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

/// A temporary file without a name, which is gone with this object. Throws Error where it cannot be
/// written or read.
class TemporaryFile {
 public:
  /// Behind what is there.
  void append(const void* bytes, std::size_t size) {
    if (!file_) file_.reset(std::tmpfile());
    if (!file_ || std::fseek(file_.get(), 0, SEEK_END) != 0 ||
        std::fwrite(bytes, 1, size, file_.get()) != size || std::fflush(file_.get()) != 0)
      fail("written");
  }

  /// `size` bytes from `offset` on, which must be there. Threads may read at the same time.
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
