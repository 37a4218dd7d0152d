// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/annotate/panel.hpp>
#include <sp2dpo/annotate/store.hpp>

/// Shared by a run and a batch: which questions are still pending.
namespace sp2dpo::annotate {

/// The request keys of one pass, 16 bytes of each: a panel has half a million.
class KeySet {
 public:
  /// Returns false if the set had the key already.
  bool insert(std::string_view key);

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  struct Half {
    std::size_t operator()(const Key& key) const noexcept { return key.first; }
  };
  std::unordered_set<Key, Half> seen_;
};

/// Throws InvalidArgument for a member that cannot be asked, and for two that would send the same
/// request.
void check_members(std::span<const PanelMember> members);

/// Records which request the question makes, and the request.
void record_question(Store& store, std::string_view pair_id, const PanelMember& member,
                     const Question& question, const ChatRequest& request);

/// Returns the outcome of the first usable reply, else of the last one, else `missing`.
[[nodiscard]] AnnotationOutcome read_replies(const Question& question, const PreferencePair& pair,
                                             std::span<const StoredReply> replies);

/// Returns true for a failure that the same question may repair.
[[nodiscard]] bool wants_another_reply(const Question& question, const AnnotationOutcome& outcome);

/// Returns the `ask` under which the next reply is stored if the question is to be asked (again),
/// else -1. A stored reply that is a failure of its server does not count as an attempt.
[[nodiscard]] int next_ask(const Question& question, const PreferencePair& pair, const Store& store,
                           std::string_view key);

}  // namespace sp2dpo::annotate
