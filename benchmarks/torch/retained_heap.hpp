// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <span>

#include "batch.hpp"
#include <sys/types.h>

namespace sp2dpo::benchmarks {

/// Runs eager_loss in another process whose allocator keeps freed memory, so that a buffer comes
/// without page faults the next time. glibc reads these settings before main, so they cannot apply
/// to a part of the measuring process.
class RetainedHeap {
 public:
  /// Starts `program` again with arguments for serve(), and waits until its memory is warm. Throws
  /// std::system_error.
  RetainedHeap(const char* program, const Shape& shape, int threads);
  ~RetainedHeap();
  RetainedHeap(const RetainedHeap&) = delete;
  RetainedHeap& operator=(const RetainedHeap&) = delete;

  /// Calls eager_loss there once and returns its seconds. Throws std::runtime_error if the process
  /// has ended.
  [[nodiscard]] double seconds() const;

  static constexpr const char* argument = "--retained-heap";
  /// Serves calls in the other process. Takes the arguments after `argument`; returns the result of
  /// main.
  static int serve(std::span<char* const> arguments);

 private:
  std::FILE* questions_ = nullptr;
  std::FILE* answers_ = nullptr;
  pid_t process_ = -1;
};

}  // namespace sp2dpo::benchmarks
