// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/annotate/store.hpp>

/// What a run and a batch have in common: who is still to be asked what.
namespace sp2dpo::annotate {

/// Keys that came by, 16 bytes of each: a panel has half a million.
class KeySet {
 public:
  /// False where the key was there before.
  bool insert(std::string_view key);

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  struct Half {
    std::size_t operator()(const Key& key) const noexcept { return key.first; }
  };
  std::unordered_set<Key, Half> seen_;
};

/// What every member asks about one pair; refuses two that ask the same.
class Questions {
 public:
  Questions(const PreferencePair& pair, std::span<const PanelMember> members);
  [[nodiscard]] const PanelQuestion& operator[](std::size_t member) const {
    return questions_[member];
  }

 private:
  std::vector<PanelQuestion> questions_;
};

/// Throws InvalidArgument for one that cannot be asked.
void check_members(std::span<const PanelMember> members);

/// Keeps for later who asked what.
void note_question(Store& store, const PreferencePair& pair, const PanelMember& member,
                   const PanelQuestion& question);

/// The first usable answer, else the last one.
[[nodiscard]] ReadAnswer read_all(const PreferencePair& pair, const PanelMember& member,
                                  std::span<const StoredAnswer> answers);

/// The number of the next asking, or -1 where the store has all that is wanted.
[[nodiscard]] int next_ask(const PreferencePair& pair, const PanelMember& member,
                           const Store& store, const std::string& key);

}  // namespace sp2dpo::annotate
