// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace sp2dpo::detail {

/// Finds an id's index in a list. Takes 4 bytes per slot and fills at most three quarters of the
/// slots. The ids stay in the list, which each call passes in; `id` projects an element to its id.
class IdIndex {
 public:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  /// Has room for `n` ids.
  explicit IdIndex(std::size_t n) : slots_(n + n / 3 + 1, none) {}

  /// Makes room for one more id than the list has: indexes the list anew if the index is full.
  template <class List, class Id = std::identity>
  void make_room(const List& list, Id id = {}) {
    const std::size_t n = list.size();
    if (n < slots_.size() / 4 * 3) return;
    IdIndex larger(std::max<std::size_t>(1024, n + n / 2));
    for (std::uint32_t i = 0; i < n; ++i) larger.insert(i, list, id);
    *this = std::move(larger);
  }

  /// Returns false, and changes nothing, if the id of list[place] is a duplicate.
  template <class List, class Id = std::identity>
  bool insert(std::uint32_t place, const List& list, Id id = {}) {
    std::uint32_t& slot = slots_[slot_of(std::invoke(id, list[place]), list, id)];
    if (slot != none) return false;
    slot = place;
    return true;
  }

  /// Returns the id's index in the list, or none.
  template <class List, class Id = std::identity>
  [[nodiscard]] std::uint32_t find(std::string_view wanted, const List& list, Id id = {}) const {
    return slots_.empty() ? none : slots_[slot_of(wanted, list, id)];  // empty if moved from
  }

 private:
  __extension__ using Wide = unsigned __int128;  // not ISO C++

  template <class List, class Id>
  [[nodiscard]] std::size_t slot_of(std::string_view wanted, const List& list, Id id) const {
    // The high half of the product spreads the hashes over any number of slots without a division.
    const auto hash = static_cast<Wide>(std::hash<std::string_view>{}(wanted));
    auto slot = static_cast<std::size_t>((hash * slots_.size()) >> 64);
    while (slots_[slot] != none && std::invoke(id, list[slots_[slot]]) != wanted)
      slot = slot + 1 == slots_.size() ? 0 : slot + 1;
    return slot;
  }

  std::vector<std::uint32_t> slots_;
};

}  // namespace sp2dpo::detail
