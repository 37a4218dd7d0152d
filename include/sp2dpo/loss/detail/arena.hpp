// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace sp2dpo::detail {

/// Hands out aligned parts of a caller's workspace or, without memory, counts the bytes they need.
/// For one thread at a time.
class Arena {
 public:
  Arena(void* memory, std::size_t alignment)
      : base_(static_cast<char*>(memory)), alignment_(alignment) {}

  void* take(std::int64_t elements, std::size_t element_bytes) {
    const std::size_t bytes = static_cast<std::size_t>(elements) * element_bytes;
    void* const part = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (bytes + alignment_ - 1) / alignment_ * alignment_;
    return part;
  }
  template <class T>
  T* take(std::int64_t elements) {
    return static_cast<T*>(take(elements, sizeof(T)));
  }

  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  char* base_;
  std::size_t alignment_;
  std::size_t used_ = 0;
};

}  // namespace sp2dpo::detail
