// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// What a million tokens cost, in whatever currency. 0 is a price; none is an unknown one.
struct Price {
  double prompt = 0;
  double completion = 0;
};

/// An answer, read.
struct ReadAnswer {
  AnnotationOutcome outcome;
  std::string failure_class{};  ///< of a failure: `truncated`, `ambiguous`, …
  bool ask_again = false;       ///< whether the same question may bring a better one
};

/// A question to a teacher about one pair.
struct PanelQuestion {
  ChatRequest request;
  std::optional<Order> order{};
};

/// A teacher under one prompt, in one order and with one sample number, as run_panel() needs it.
/// Each function must give the same for the same arguments, whenever it is called.
struct PanelMember {
  AnnotatorId id;
  int sample = 0;
  std::string family;  ///< of the endpoint, as it stands in the requests' keys
  std::string model;
  Endpoint* endpoint = nullptr;  ///< none: what the store lacks is missing
  std::optional<Price> price{};
  int max_asks = 2;  ///< how often an unusable answer is asked for in all
  std::function<PanelQuestion(const PreferencePair& pair)> question;
  std::function<ReadAnswer(const PreferencePair& pair, std::string_view body)> read;
};

/// What a member has still to be asked, and what that may cost.
struct MemberPlan {
  std::int64_t questions = 0;
  std::int64_t stored = 0;       ///< have their answer already
  std::int64_t shared = 0;       ///< are the same request as another pair's
  std::int64_t calls = 0;        ///< remain
  double prompt_tokens = 0;      ///< of the calls: a quarter of the bytes
  double completion_tokens = 0;  ///< of the calls, where each answer uses all it may
  double cost = 0;               ///< of these tokens
  double most = 0;               ///< where every byte of a prompt were a token
};

/// Plans in the order of `members`; no store = nothing is answered yet. Throws InvalidArgument
/// where two members would send the same request: one answer would be counted twice.
[[nodiscard]] std::vector<MemberPlan> plan_panel(std::span<const PreferencePair> pairs,
                                                 std::span<const PanelMember> members,
                                                 const Store* store);

struct PanelProgress {
  std::int64_t questions = 0;    ///< in all
  std::int64_t stored = 0;       ///< answered before
  std::int64_t shared = 0;       ///< answered by the same request of another pair
  std::int64_t answered = 0;     ///< now
  std::int64_t failed = 0;       ///< brought no answer now
  std::int64_t asked_again = 0;  ///< since the answer before was unusable
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  double cost = 0;      ///< of what was answered
  double reserved = 0;  ///< at most, for what is under way
  [[nodiscard]] std::int64_t done() const { return stored + shared + answered + failed; }
};

struct RunOptions {
  int max_asks = 2;                            ///< how often an unusable answer is asked for in all
  std::optional<double> max_cost{};            ///< of this run
  std::optional<std::int64_t> max_requests{};  ///< of this run
  /// Called once a round; a true answer ends the run softly.
  std::function<bool(const PanelProgress&)> should_stop{};
};

struct RunResult {
  enum class End : std::uint8_t {
    complete,
    max_cost,
    max_requests,
    stopped,   ///< by should_stop
    endpoints  ///< at least one gave up before all was asked
  };
  End end = End::complete;
  PanelProgress progress;
  std::vector<std::string> endpoints_stopped{};  ///< why, each endpoint that gave up
};

/// Asks all that the store lacks, and stores each answer before anything is made of it: one commit
/// a round. What was answered once is not asked again; what brought no answer is, by the next run.
/// After a soft end nothing new is sent, and what is under way is waited for.
[[nodiscard]] RunResult run_panel(std::span<const PreferencePair> pairs,
                                  std::span<const PanelMember> members, Store& store,
                                  const RunOptions& options = {});

/// What the store knows of one member's question.
struct PanelAnswer {
  const PreferencePair& pair;
  std::size_t member;
  const PanelQuestion& question;
  ReadAnswer answer;                  ///< the first usable one, else the last
  std::span<const StoredAnswer> raw;  ///< all of them; none where the question is unanswered
};

/// Reads all answers out of the store, pair by pair in the order given, members in theirs.
void read_panel(std::span<const PreferencePair> pairs, std::span<const PanelMember> members,
                const Store& store, const std::function<void(const PanelAnswer&)>& f);

/// Whether a pair belongs to part `index` of `count`, counted from 0, by SHA-256 of its id.
[[nodiscard]] bool in_shard(std::string_view pair_id, std::uint32_t index, std::uint32_t count);

}  // namespace sp2dpo::annotate
