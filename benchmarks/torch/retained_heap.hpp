// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <span>

#include "batch.hpp"
#include <sys/types.h>

namespace sp2dpo::benchmarks {

/// eager_loss in a process of its own whose allocator gives no memory back to the system, so that a
/// buffer that was freed comes without page faults the next time. glibc takes the settings for that
/// before main only: they cannot be had for a part of the process that measures the rest.
class RetainedHeap {
 public:
  /// Starts `program` anew, with arguments for serve(), and waits until its memory is warm. Throws
  /// std::system_error.
  RetainedHeap(const char* program, const Shape& shape, int threads);
  ~RetainedHeap();
  RetainedHeap(const RetainedHeap&) = delete;
  RetainedHeap& operator=(const RetainedHeap&) = delete;

  /// Calls eager_loss there once. Returns its seconds; throws std::runtime_error where that process
  /// has ended.
  [[nodiscard]] double seconds() const;

  static constexpr const char* argument = "--retained-heap";
  /// The other side: `arguments` are those after `argument`. Returns main's result.
  static int serve(std::span<char* const> arguments);

 private:
  std::FILE* questions_ = nullptr;
  std::FILE* answers_ = nullptr;
  pid_t process_ = -1;
};

}  // namespace sp2dpo::benchmarks
