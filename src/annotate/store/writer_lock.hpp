// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {

/// Admits one writing process at a time. It locks a separate file, because SQLite's locks on the
/// store are lost when the process closes any other descriptor of the store.
class WriterLock {
 public:
  WriterLock(const std::filesystem::path& store, bool wanted) {
    if (!wanted) return;
    const auto name = store.string() + ".lock";
    descriptor_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
      throw DataError(
          store.string(), 0, "",
          fmt::format("cannot create {}: {}", name, std::generic_category().message(errno)));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    ::close(descriptor_);
    throw DataError(store.string(), 0, "", "another process is writing to this store");
  }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  ~WriterLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

 private:
  int descriptor_ = -1;
};

}  // namespace sp2dpo::annotate
