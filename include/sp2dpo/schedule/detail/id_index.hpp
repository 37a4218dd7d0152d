// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

namespace sp2dpo::detail {

/// Where in a list an id stands: 4 bytes a slot, of which no more than three quarters are taken.
/// The ids stay in the list, which is handed in with each call; `id` gets one out of an element.
class IdIndex {
 public:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  /// For up to `n` ids.
  explicit IdIndex(std::size_t n) : slots_(n + n / 3 + 1, none) {}

  /// How many ids there is room for.
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size() / 4 * 3; }

  /// False where the id of list[place] is in the index already.
  template <class List, class Id = std::identity>
  bool insert(std::uint32_t place, const List& list, Id id = {}) {
    std::uint32_t& slot = slots_[slot_of(std::invoke(id, list[place]), list, id)];
    if (slot != none) return false;
    slot = place;
    return true;
  }

  /// The place of the id in the list, or none.
  template <class List, class Id = std::identity>
  [[nodiscard]] std::uint32_t find(std::string_view wanted, const List& list, Id id = {}) const {
    return slots_.empty() ? none : slots_[slot_of(wanted, list, id)];  // empty: moved from
  }

 private:
  template <class List, class Id>
  [[nodiscard]] std::size_t slot_of(std::string_view wanted, const List& list, Id id) const {
    // The high half of the product spreads the hashes over any number of slots without a division.
    const auto hash = static_cast<unsigned __int128>(std::hash<std::string_view>{}(wanted));
    auto slot = static_cast<std::size_t>((hash * slots_.size()) >> 64);
    while (slots_[slot] != none && std::invoke(id, list[slots_[slot]]) != wanted)
      slot = slot + 1 == slots_.size() ? 0 : slot + 1;
    return slot;
  }

  std::vector<std::uint32_t> slots_;
};

}  // namespace sp2dpo::detail
