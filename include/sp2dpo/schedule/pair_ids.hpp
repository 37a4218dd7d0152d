// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/detail/block_list.hpp>
#include <sp2dpo/schedule/detail/id_index.hpp>

namespace sp2dpo {

/// A set of pair ids, numbered 0, 1, 2, … in order of insertion. Takes about 16 bytes per id plus
/// its text. A const PairIds may be read from several threads.
class PairIds {
 public:
  static constexpr std::uint32_t none = detail::IdIndex::none;

  PairIds() = default;
  /// Throws InvalidArgument that names a duplicate id.
  explicit PairIds(std::span<const std::string> ids) {
    for (const auto& id : ids) detail::require(add(id), "duplicate id: pair {}", id);
  }

  // As large as its data set: an implicit copy would hardly be intended.
  PairIds(const PairIds&) = delete;
  PairIds& operator=(const PairIds&) = delete;
  PairIds(PairIds&&) = default;
  PairIds& operator=(PairIds&&) = default;

  /// Returns false if the id is a duplicate. Throws InvalidArgument beyond 2³² − 1 ids.
  bool add(std::string_view id) {
    detail::require(size() < none, "at most {} pairs are supported", none);
    index_.make_room(*this);
    if (index_.find(id, *this) != none) return false;
    texts_.push_back(stored(id));
    index_.insert(static_cast<std::uint32_t>(size() - 1), *this);
    return true;
  }

  /// Returns the id's number, or none.
  [[nodiscard]] std::uint32_t find(std::string_view id) const { return index_.find(id, *this); }

  [[nodiscard]] std::string_view operator[](std::size_t number) const {
    const char* const text = texts_[number];
    const auto size = static_cast<unsigned char>(*text);
    if (size < long_text) return {text + 1, size};
    std::size_t full;
    std::memcpy(&full, text + 1, sizeof full);
    return {text + 1 + sizeof full, full};
  }

  /// Number of ids.
  [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }

 private:
  static constexpr std::size_t block_size = std::size_t{1} << 18;
  static constexpr unsigned char long_text = 255;

  /// Stores a copy of the id after its size, which takes one byte, or nine for a long text.
  const char* stored(std::string_view id) {
    const std::size_t size = id.size();
    const bool is_long = size >= long_text;
    const std::size_t needed = 1 + (is_long ? sizeof size : 0) + size;
    if (needed > left_) {
      left_ = std::max(needed, block_size);
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
      next_ = blocks_.back().get();
    }
    char* const text = std::exchange(next_, next_ + needed);
    left_ -= needed;
    *text = static_cast<char>(is_long ? long_text : size);
    if (is_long) std::memcpy(text + 1, &size, sizeof size);
    id.copy(text + needed - size, size);
    return text;
  }

  detail::BlockList<const char*> texts_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;  // the first free byte of the last block
  std::size_t left_ = 0;
  detail::IdIndex index_{0};
};

}  // namespace sp2dpo
