// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "sha256.hpp"

namespace sp2dpo::io {

/// The ids that were there before, as 128 bits of SHA-256 each. Even while it grows it holds less
/// than 48 bytes per id: the table is at most 7/8 full and grows by half.
class IdSet {
 public:
  IdSet() : slots_(1024) {}

  /// False where the id is in the set already.
  bool insert(std::string_view id) {
    if (8 * (size_ + 1) > 7 * slots_.size()) grow();
    hash_.update(id);
    const Sha256::Digest digest = hash_.finish();
    Key key;
    std::memcpy(&key, digest.data(), sizeof key);
    if (key == Key{}) key.low = 1;  // zero marks an empty slot
    if (!place(slots_, key)) return false;
    ++size_;
    return true;
  }

 private:
  struct Key {
    std::uint64_t high;
    std::uint64_t low;

    friend bool operator==(const Key&, const Key&) = default;
  };

  static bool place(std::vector<Key>& slots, const Key& key) {
    // The high half of the product spreads the keys over any number of slots without a division.
    auto slot =
        static_cast<std::size_t>((static_cast<unsigned __int128>(key.high) * slots.size()) >> 64);
    for (; slots[slot] != Key{}; slot = slot + 1 == slots.size() ? 0 : slot + 1)
      if (slots[slot] == key) return false;
    slots[slot] = key;
    return true;
  }

  void grow() {
    std::vector<Key> larger(slots_.size() + slots_.size() / 2);
    for (const Key& key : slots_)
      if (key != Key{}) place(larger, key);
    slots_ = std::move(larger);
  }

  Sha256 hash_;
  std::vector<Key> slots_;
  std::size_t size_ = 0;
};

}  // namespace sp2dpo::io
