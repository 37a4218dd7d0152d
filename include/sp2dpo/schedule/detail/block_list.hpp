// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace sp2dpo::detail {

/// A list that grows block by block and never copies its elements. The unused rest of the last
/// block is never touched, so that it takes no physical memory.
template <class T>
requires std::is_trivially_copyable_v<T>
class BlockList {
 public:
  BlockList() = default;
  BlockList(const BlockList&) = delete;
  BlockList& operator=(const BlockList&) = delete;
  BlockList(BlockList&& other) noexcept
      : blocks_(std::move(other.blocks_)), size_(std::exchange(other.size_, 0)) {}
  BlockList& operator=(BlockList&& other) noexcept {
    blocks_ = std::move(other.blocks_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  void push_back(const T& value) {
    if (size_ == per_block * blocks_.size())
      blocks_.push_back(std::make_unique_for_overwrite<T[]>(per_block));
    blocks_[size_ / per_block][size_ % per_block] = value;
    ++size_;
  }

  [[nodiscard]] const T& operator[](std::size_t i) const {
    return blocks_[i / per_block][i % per_block];
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Empties the list and keeps its memory for later elements.
  void clear() noexcept { size_ = 0; }

 private:
  static constexpr std::size_t per_block = std::max<std::size_t>(1, (1 << 18) / sizeof(T));

  std::vector<std::unique_ptr<T[]>> blocks_;
  std::size_t size_ = 0;
};

}  // namespace sp2dpo::detail
