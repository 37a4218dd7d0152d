// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace sp2dpo::annotate {

/// A pipe that ends another thread's poll(). Any thread may ring; the thread that polls drains.
class WakePipe {
 public:
  /// Throws std::system_error when the process is out of file descriptors.
  WakePipe() {
    if (pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0)
      throw std::system_error(errno, std::generic_category(), "pipe");
  }
  ~WakePipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  WakePipe(const WakePipe&) = delete;
  WakePipe& operator=(const WakePipe&) = delete;

  /// The end to poll for POLLIN.
  [[nodiscard]] int descriptor() const noexcept { return ends_[0]; }
  /// Makes descriptor() readable. A full pipe is readable already, so the write may fail.
  void ring() { static_cast<void>(!write(ends_[1], "", 1)); }
  /// Empties the pipe, so that the next poll() waits again.
  void drain() {
    char bytes[64];
    while (read(ends_[0], bytes, sizeof bytes) > 0) {
    }
  }

 private:
  int ends_[2] = {};
};

}  // namespace sp2dpo::annotate
