// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <span>

#include "batch.hpp"
#include <sys/types.h>

namespace sp2dpo::benchmarks {

/// Runs eager_loss in another process, whose allocator never returns memory to the system, so that
/// a reused buffer causes no page faults. glibc reads these settings before main only, so the
/// measuring process cannot change them for itself.
class RetainedHeap {
 public:
  /// Starts `program` with arguments for serve(), and waits until its memory is warm. Throws
  /// std::system_error.
  RetainedHeap(const char* program, const Shape& shape, int threads);
  ~RetainedHeap();
  RetainedHeap(const RetainedHeap&) = delete;
  RetainedHeap& operator=(const RetainedHeap&) = delete;

  /// Calls eager_loss there once. Returns its seconds; throws std::runtime_error if the process has
  /// exited.
  [[nodiscard]] double seconds() const;

  static constexpr const char* argument = "--retained-heap";
  /// Serves in the other process: `arguments` are those after `argument`. Returns the exit status.
  static int serve(std::span<char* const> arguments);

 private:
  std::FILE* questions_ = nullptr;
  std::FILE* answers_ = nullptr;
  pid_t process_ = -1;
};

}  // namespace sp2dpo::benchmarks
