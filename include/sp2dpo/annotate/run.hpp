// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/annotate/panel.hpp>
#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// The questions that one member has still to be asked, and their cost in the currency of the
/// judge's price.
struct MemberPlan {
  std::int64_t questions = 0;    ///< one per pair
  std::int64_t stored = 0;       ///< have their reply in the store
  std::int64_t shared = 0;       ///< make the same request as another pair's question
  std::int64_t calls = 0;        ///< remain to be sent
  double prompt_tokens = 0;      ///< estimate for the calls: a quarter of the bytes
  double completion_tokens = 0;  ///< upper bound for the calls: every reply as long as allowed
  double cost = 0;               ///< of these tokens
  double max_cost = 0;           ///< upper bound: one prompt token per byte
};

/// Returns one plan per member, in their order. A null store counts as empty. Throws
/// InvalidArgument if two members would send the same request, since one reply would count twice.
[[nodiscard]] std::vector<MemberPlan> plan_panel(std::span<const PreferencePair> pairs,
                                                 std::span<const PanelMember> members,
                                                 const Store* store);

/// Counts of one run so far.
struct PanelProgress {
  std::int64_t questions = 0;    ///< in total
  std::int64_t stored = 0;       ///< answered by an earlier run
  std::int64_t shared = 0;       ///< answered by the same request of another pair
  std::int64_t answered = 0;     ///< answered by this run
  std::int64_t failed = 0;       ///< without a reply in this run
  std::int64_t asked_again = 0;  ///< repeated because the reply was unusable
  std::int64_t replies = 0;      ///< that arrived in this run
  std::int64_t unusable = 0;     ///< of them, those without a verdict
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  double cost = 0;      ///< of the replies so far
  double reserved = 0;  ///< upper bound for the requests in flight
  std::int64_t in_flight = 0;
  /// The last failed attempt, as "judge: reason"; empty once that judge has answered again.
  std::string trouble{};
  /// Questions that this run is finished with.
  [[nodiscard]] std::int64_t done() const { return stored + shared + answered + failed; }
};

/// Limits of one run.
struct RunOptions {
  std::optional<double> max_cost{};            ///< in the currency of the judges' prices
  std::optional<std::int64_t> max_requests{};  ///< questions sent; an endpoint's retries are free
  /// Called once a round, in the calling thread; returning true ends the run softly.
  std::function<bool(const PanelProgress&)> should_stop{};
  /// Called before every request, in the calling thread: once it returns true, nothing is sent. A
  /// signal's flag belongs here; should_stop must return true as well then.
  std::function<bool()> interrupted{};
};

/// How a run ended.
struct RunResult {
  /// The reason why the run ended.
  enum class End : std::uint8_t {
    complete,
    max_cost,
    max_requests,
    stopped,   ///< by should_stop
    disk,      ///< the disk refused the store; what was in flight is kept
    endpoints  ///< at least one endpoint stopped with questions left
  };
  End end = End::complete;
  PanelProgress progress;
  std::vector<std::string> endpoints_stopped{};  ///< "judge: reason" of each that stopped
  std::string disk_error{};                      ///< what the disk refused
  std::string rescued{};  ///< file with replies that are not in the store yet; empty: all are
  /// With End::max_cost and nothing sent: the reserve of the first request. A higher limit is
  /// needed for any.
  double needed_cost = 0;
};

/// Asks every question that has no usable reply in the store, and commits the replies of each round
/// before it uses them. A question that already has its reply is never sent again; one that failed
/// is sent again by the next run. After a soft end nothing new is sent, and the replies in flight
/// are awaited. Works in the calling thread. Throws InvalidArgument as plan_panel() does.
[[nodiscard]] RunResult run_panel(std::span<const PreferencePair> pairs,
                                  std::span<const PanelMember> members, Store& store,
                                  const RunOptions& options = {});

/// One question, and what its stored replies say.
struct PanelOutcome {
  const PreferencePair& pair;
  std::size_t member;  ///< index into the members
  const Question& question;
  std::string_view key;                  ///< of the request
  AnnotationOutcome outcome;             ///< of the first usable reply, else of the last one
  std::span<const StoredReply> replies;  ///< all of them
  double cost;  ///< of the replies; one without plausible usage counts with its whole reserve
  bool answered = false;  ///< a reply counts, usable or not; others are failures of the server
  int unstated = 0;       ///< replies that count without a `finish_reason`
};

/// Reads the outcome of every question from the store, pair by pair, members in their order. Throws
/// InvalidArgument as plan_panel() does.
void read_panel(std::span<const PreferencePair> pairs, std::span<const PanelMember> members,
                const Store& store, const std::function<void(const PanelOutcome&)>& sink);

/// What one question to a judge brought.
struct JudgeCheck {
  std::string outcome;  ///< for people: the verdict, or what is wrong
  bool usable = false;
  double seconds = 0;
  double cost = 0;
};

/// Asks a member's endpoint its question about a pair, whether it has a reply or not, and stores
/// what comes. Blocks. Throws InvalidArgument for a member without an endpoint.
[[nodiscard]] JudgeCheck check_judge(const PreferencePair& pair, const PanelMember& member,
                                     Store& store);

/// Returns true if the pair belongs to shard `index` of `count`, counted from 0: the first 8 bytes
/// of SHA-256 of its id, big-endian, modulo `count`. Throws InvalidArgument unless index < count.
[[nodiscard]] bool in_shard(std::string_view pair_id, std::uint32_t index, std::uint32_t count);

}  // namespace sp2dpo::annotate
