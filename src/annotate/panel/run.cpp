// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>

#include "pending.hpp"
#include "text/sha256.hpp"
#include "wire/reply_verdict.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {

namespace {

using namespace std::chrono_literals;

double cost(const std::optional<ListPrice>& price, double prompt_tokens, double completion_tokens) {
  if (!price) return 0;
  return (price->prompt * prompt_tokens + price->completion * completion_tokens) / 1e6;
}

/// Upper bound on the cost of one request: one prompt token per byte, the longest reply.
double max_cost(const std::optional<ListPrice>& price, const ChatRequest& request) {
  return cost(price, static_cast<double>(request.prompt_bytes), request.max_tokens);
}

/// Cost of one reply: by its usage, or the whole reserve if the server has stated none.
double cost_of(const std::optional<ListPrice>& price, const ChatRequest& request,
               const std::optional<Usage>& usage) {
  if (!usage) return max_cost(price, request);
  return cost(price, static_cast<double>(usage->prompt_tokens),
              static_cast<double>(usage->completion_tokens));
}

StoredFailure::Kind failure_kind(ChatReply::Kind kind) {
  switch (kind) {
    case ChatReply::Kind::quota:
      return StoredFailure::Kind::quota;
    case ChatReply::Kind::rejected:
      return StoredFailure::Kind::rejected;
    default:
      return StoredFailure::Kind::transport;
  }
}

class Run {
 public:
  Run(std::span<const PreferencePair> pairs, std::span<const PanelMember> members, Store& store,
      const RunOptions& options)
      : pairs_(pairs), members_(members), store_(store), options_(options) {
    check_members(members);
    for (std::size_t i = 0; i < members.size(); ++i)
      lane_of(members[i].endpoint).members.push_back(i);
    for (const auto& lane : lanes_)
      if (lane.endpoint != nullptr) endpoints_.push_back(lane.endpoint);
    result_.progress.questions = std::ssize(pairs) * std::ssize(members);
    for (auto& lane : lanes_)
      if (lane.endpoint != nullptr)
        lane.endpoint->observe([this, &lane](const std::string& key, const ChatReply& reply) {
          on_failed_attempt(lane, key, reply);
        });
  }
  ~Run() {
    for (auto* const endpoint : endpoints_) endpoint->observe({});
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  RunResult operator()() {
    reserve_room();
    for (bool more = true; more;) {
      more = false;
      for (auto& lane : lanes_) more |= fill(lane);
      const bool waiting = in_flight() > 0;
      if (waiting) round(more && !blocked_ ? 0ms : 100ms);
      store_.commit();
      keep_room();
      if (blocked_ && in_flight() == 0) end(RunResult::End::max_cost);
      result_.progress.in_flight = static_cast<std::int64_t>(in_flight());
      more |= in_flight() > 0 || anything_ready();
      if (options_.should_stop && options_.should_stop(result_.progress) && !stopping_) {
        end(RunResult::End::stopped);
        sends_nothing_ = true;
      }
      // Every round, since a request in flight may fail and wait for its next attempt.
      if (sends_nothing_)
        for (auto& lane : lanes_) withdraw(lane);
    }
    if (!store_.disk_error().empty()) result_.disk_error = store_.disk_error();
    result_.rescued = store_.recover();
    for (const auto& lane : lanes_) {
      const auto why = lane.endpoint == nullptr ? std::string() : lane.endpoint->stopped();
      if (!why.empty())
        result_.endpoints_stopped.push_back(fmt::format("{}: {}", judges_of(lane), why));
    }
    if (!result_.endpoints_stopped.empty() && result_.end == RunResult::End::complete)
      result_.end = RunResult::End::endpoints;
    return result_;
  }

 private:
  /// A question to be sent.
  struct Call {
    const PreferencePair* pair;
    std::size_t member;
    int ask;
    ChatRequest request;
    int replies = 0;  // in this run
  };
  /// The questions to one endpoint. Each lane advances through the pairs at its own speed.
  struct Lane {
    Endpoint* endpoint = nullptr;
    std::vector<std::size_t> members{};
    std::size_t pair = 0;
    std::deque<Call> ready{};
    std::deque<std::pair<const PreferencePair*, std::size_t>> last{};  // rejected before
    std::size_t in_flight = 0;
  };

  Lane& lane_of(Endpoint* endpoint) {
    for (auto& lane : lanes_)
      if (lane.endpoint == endpoint) return lane;
    return lanes_.emplace_back(Lane{.endpoint = endpoint});
  }

  [[nodiscard]] std::string judges_of(const Lane& lane) const {
    std::set<std::string> names;
    for (const auto index : lane.members) names.insert(members_[index].judge->name);
    return fmt::format("{}", fmt::join(names, ", "));
  }

  /// Allocates room for all replies that can be in flight at once.
  void reserve_room() {
    constexpr std::size_t least = 1'000'000;
    std::size_t most = 0;
    for (const auto* const endpoint : endpoints_)
      most += static_cast<std::size_t>(endpoint->options().max_concurrent);
    most = std::min(most, static_cast<std::size_t>(result_.progress.questions));
    if (most > 0) store_.reserve(most * std::max(least, largest_));
    reserved_for_ = std::max(least, largest_);
  }

  /// Makes the room larger with the largest reply so far, and sends nothing more once the disk is
  /// full.
  void keep_room() {
    if (store_.disk_error().empty() && largest_ > reserved_for_) {
      try {
        reserve_room();
      } catch (const DataError& full) {
        result_.disk_error = full.what();
      }
    }
    if (sends_nothing_ || (store_.disk_error().empty() && result_.disk_error.empty())) return;
    end(RunResult::End::disk);
    sends_nothing_ = true;
  }

  void on_failed_attempt(const Lane& lane, const std::string& key, const ChatReply& reply) {
    result_.progress.trouble = fmt::format("{}: {}", judges_of(lane), reply.detail);
    trouble_ = &lane;
    if (!noted_.insert(key)) return;
    store_.add(StoredFailure{.key = key,
                             .kind = failure_kind(reply.kind),
                             .http_status = reply.http_status,
                             .detail = reply.detail,
                             .created = static_cast<std::int64_t>(std::time(nullptr))});
  }

  [[nodiscard]] std::size_t in_flight() const {
    std::size_t sum = 0;
    for (const auto& lane : lanes_) sum += lane.in_flight;
    return sum;
  }

  [[nodiscard]] bool anything_ready() const {
    return !stopping_ && std::ranges::any_of(lanes_, [](const Lane& lane) {
      return !lane.ready.empty() && lane.endpoint->stopped().empty();
    });
  }

  void end(RunResult::End why) {
    stopping_ = true;
    if (result_.end == RunResult::End::complete) result_.end = why;
  }

  /// Sends as many requests as the endpoint accepts. Returns true if more pairs can be looked at
  /// without waiting.
  bool fill(Lane& lane) {
    // Keeps the endpoint busy with a bounded amount of memory.
    const std::size_t window =
        lane.endpoint == nullptr
            ? 0
            : 2 * static_cast<std::size_t>(lane.endpoint->options().max_concurrent) + 64;
    constexpr int pairs_a_round = 256;
    for (int looked = 0; !stopping_; ++looked) {
      if (lane.endpoint != nullptr && !lane.endpoint->stopped().empty()) return false;
      while (!lane.ready.empty()) {
        if (lane.in_flight >= window || !send(lane)) return false;
      }
      const bool all_seen = lane.pair == pairs_.size();
      if (all_seen && lane.last.empty()) return false;
      if (looked == pairs_a_round) return true;
      if (all_seen) {
        take_rejected(lane);
      } else {
        look_at(lane, pairs_[lane.pair++]);
      }
    }
    return false;
  }

  void look_at(Lane& lane, const PreferencePair& pair) {
    auto& progress = result_.progress;
    for (const auto index : lane.members) {
      const auto& member = members_[index];
      const Question question = member.about(pair.id);
      ChatRequest request = make_request(question, pair);
      record_question(store_, pair.id, member, question, request);
      if (!seen_.insert(request.key)) {
        ++progress.shared;
        continue;
      }
      const int ask = next_ask(question, pair, store_, request.key);
      if (ask < 0) {
        ++progress.stored;
      } else if (lane.endpoint == nullptr) {
        ++progress.failed;
      } else if (was_rejected(request.key)) {
        lane.last.emplace_back(&pair, index);
      } else {
        lane.ready.push_back({&pair, index, ask, std::move(request)});
      }
    }
  }

  [[nodiscard]] bool was_rejected(const std::string& key) const {
    const auto failures = store_.failures(key);
    return !failures.empty() && failures.back().kind == StoredFailure::Kind::rejected;
  }

  /// Makes a question that was rejected before ready, once all others have been.
  void take_rejected(Lane& lane) {
    const auto [pair, index] = lane.last.front();
    lane.last.pop_front();
    const Question question = members_[index].about(pair->id);
    ChatRequest request = make_request(question, *pair);
    const int ask = next_ask(question, *pair, store_, request.key);
    lane.ready.push_back({pair, index, ask, std::move(request)});
  }

  /// Sends the lane's next call. Returns false if the limits forbid it for now.
  bool send(Lane& lane) {
    Call& call = lane.ready.front();
    const double reserve = max_cost(members_[call.member].judge->price, call.request);
    auto& progress = result_.progress;
    if (options_.max_requests && sent_ >= *options_.max_requests) {
      end(RunResult::End::max_requests);
      return false;
    }
    if (options_.max_cost && progress.cost + progress.reserved + reserve > *options_.max_cost) {
      blocked_ = true;
      if (sent_ == 0 && result_.needed_cost == 0) result_.needed_cost = reserve;
      return false;
    }
    if (++sent_ == 1) result_.needed_cost = 0;
    ++lane.in_flight;
    progress.reserved += reserve;
    reserves_[call.request.key] = reserve;
    auto request = std::move(call.request);
    request.ask = call.ask;
    lane.endpoint->submit(std::move(request),
                          [this, &lane, pair = call.pair, member = call.member, ask = call.ask,
                           replies = call.replies](ChatRequest asked, const ChatReply& reply) {
                            on_reply(lane, {pair, member, ask, std::move(asked), replies}, reply);
                          });
    lane.ready.pop_front();
    return true;
  }

  void release(Lane& lane, const std::string& key) {
    const auto reserve = reserves_.extract(key);
    result_.progress.reserved -= reserve.mapped();
    if (reserves_.empty()) result_.progress.reserved = 0;  // clears rounding errors
    --lane.in_flight;
    blocked_ = false;
  }

  void on_reply(Lane& lane, Call call, const ChatReply& reply) {
    auto& progress = result_.progress;
    const auto& key = call.request.key;
    release(lane, key);
    progress.cost += cost_of(members_[call.member].judge->price, call.request, reply.spent);
    count_tokens(reply.spent);
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    if (reply.kind != ChatReply::Kind::answered) {
      // With 0 attempts the endpoint has stopped, or can never send it; the reason is kept too.
      if (reply.attempts > 0 || lane.endpoint->stopped().empty()) ++progress.failed;
      progress.trouble = fmt::format("{}: {}", judges_of(lane), reply.detail);
      trouble_ = &lane;
      store_.add(StoredFailure{.key = key,
                               .kind = failure_kind(reply.kind),
                               .http_status = reply.http_status,
                               .detail = reply.detail,
                               .created = now});
      return;
    }
    store_.add(StoredReply{.key = key,
                           .ask = call.ask,
                           .http_status = reply.http_status,
                           .request_id = reply.request_id,
                           .body = reply.body,
                           .usage = reply.usage,
                           .seconds = reply.seconds,
                           .attempts = reply.attempts,
                           .created = now,
                           .seed = sent_seed(call.request.body, call.ask)});
    progress.cost += cost_of(members_[call.member].judge->price, call.request, reply.usage);
    if (reply.usage) count_tokens(*reply.usage);
    largest_ = std::max(largest_, reply.body.size() + 1000);
    if (trouble_ == &lane) progress.trouble.clear();
    const Question question = members_[call.member].about(call.pair->id);
    const auto outcome = read_reply(question, *call.pair, key, reply.body);
    ++progress.replies;
    if (!std::holds_alternative<Annotation>(outcome)) ++progress.unusable;
    const bool may_ask = call.replies++ < question.judge->reasks && !stopping_;
    const int ask = may_ask ? next_ask(question, *call.pair, store_, key) : -1;
    if (ask >= 0) {
      ++progress.asked_again;
      call.ask = ask;
      lane.ready.push_front(std::move(call));
      return;
    }
    ++progress.answered;
  }

  void count_tokens(const Usage& usage) {
    result_.progress.prompt_tokens += usage.prompt_tokens;
    result_.progress.completion_tokens += usage.completion_tokens;
  }

  void withdraw(Lane& lane) {
    if (lane.endpoint == nullptr) return;
    for (const auto& request : lane.endpoint->withdraw()) release(lane, request.key);
  }

  void round(std::chrono::milliseconds timeout) {
    try {
      const auto may_send = [this] {
        return !sends_nothing_ && !(options_.interrupted && options_.interrupted());
      };
      Endpoint::poll(endpoints_, timeout, may_send);
    } catch (...) {
      store_.commit();  // the replies before the failure are paid for
      throw;
    }
  }

  std::span<const PreferencePair> pairs_;
  std::span<const PanelMember> members_;
  Store& store_;
  const RunOptions& options_;
  std::deque<Lane> lanes_;  // callbacks point at them
  std::vector<Endpoint*> endpoints_;
  KeySet seen_;
  std::unordered_map<std::string, double> reserves_;
  std::int64_t sent_ = 0;
  bool blocked_ = false;           // by max_cost, until a request in flight returns
  bool stopping_ = false;          // no further question is sent
  bool sends_nothing_ = false;     // not even the next attempt of one that has failed
  KeySet noted_;                   // keys with a failed attempt on record
  const Lane* trouble_ = nullptr;  // of progress.trouble
  std::size_t largest_ = 0;        // reply so far, bytes
  std::size_t reserved_for_ = 0;
  RunResult result_;
};

}  // namespace

std::vector<MemberPlan> plan_panel(std::span<const PreferencePair> pairs,
                                   std::span<const PanelMember> members, const Store* store) {
  check_members(members);
  std::vector<MemberPlan> plans(members.size());
  KeySet seen;
  for (const auto& pair : pairs) {
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Question question = members[i].about(pair.id);
      const ChatRequest request = make_request(question, pair);
      auto& plan = plans[i];
      ++plan.questions;
      if (!seen.insert(request.key)) {
        ++plan.shared;
      } else if (store != nullptr && next_ask(question, pair, *store, request.key) < 0) {
        ++plan.stored;
      } else {
        ++plan.calls;
        const auto& price = question.judge->price;
        const double prompt_tokens = static_cast<double>(request.prompt_bytes) / 4;
        plan.prompt_tokens += prompt_tokens;
        plan.completion_tokens += request.max_tokens;
        plan.cost += cost(price, prompt_tokens, request.max_tokens);
        plan.max_cost += max_cost(price, request);
      }
    }
  }
  return plans;
}

RunResult run_panel(std::span<const PreferencePair> pairs, std::span<const PanelMember> members,
                    Store& store, const RunOptions& options) {
  return Run(pairs, members, store, options)();
}

void read_panel(std::span<const PreferencePair> pairs, std::span<const PanelMember> members,
                const Store& store, const std::function<void(const PanelOutcome&)>& sink) {
  check_members(members);
  for (const auto& pair : pairs) {
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Question question = members[i].about(pair.id);
      const ChatRequest request = make_request(question, pair);
      const std::string& key = request.key;
      const auto replies = store.replies(key);
      AnnotationOutcome outcome = read_replies(question, pair, replies);
      if (replies.empty()) {
        const auto attempts = store.failures(key);
        if (!attempts.empty())
          std::get<AnnotationFailure>(outcome).detail += "; last came " + attempts.back().detail;
      }
      const auto& own = question.judge->endpoint.finish_reasons;
      double paid = 0;
      bool answered = false;
      int unstated = 0;
      for (const auto& reply : replies) {
        paid += cost_of(question.judge->price, request, reply.usage);
        const Standing standing = standing_of(reply.body, own);
        answered |= standing.counts;
        unstated += standing.unstated ? 1 : 0;
      }
      sink({pair, i, question, key, std::move(outcome), replies, paid, answered, unstated});
    }
  }
}

JudgeCheck check_judge(const PreferencePair& pair, const PanelMember& member, Store& store) {
  detail::require(member.endpoint != nullptr, "judge {} has no endpoint", member.judge->name);
  const Question question = member.about(pair.id);
  const ChatRequest request = make_request(question, pair);
  record_question(store, pair.id, member, question, request);
  store.commit();
  const auto reply = member.endpoint->ask(request);
  JudgeCheck check{.outcome = reply.detail, .seconds = reply.seconds};
  const auto now = static_cast<std::int64_t>(std::time(nullptr));
  if (reply.kind != ChatReply::Kind::answered) {
    store.add(StoredFailure{.key = request.key,
                            .kind = failure_kind(reply.kind),
                            .http_status = reply.http_status,
                            .detail = reply.detail,
                            .created = now});
  } else {
    store.add(StoredReply{.key = request.key,
                          .ask = 0,
                          .http_status = reply.http_status,
                          .request_id = reply.request_id,
                          .body = reply.body,
                          .usage = reply.usage,
                          .seconds = reply.seconds,
                          .attempts = reply.attempts,
                          .created = now,
                          .seed = sent_seed(request.body, 0)});
    check.cost = cost_of(member.judge->price, request, reply.usage);
    const auto outcome = read_reply(question, pair, request.key, reply.body);
    if (const auto* const failure = std::get_if<AnnotationFailure>(&outcome)) {
      check.outcome = fmt::format("{}: {}", name(failure->kind), failure->detail);
    } else {
      check.usable = true;
      check.outcome = fmt::format("a verdict ({})", name(std::get<Annotation>(outcome).preferred));
    }
  }
  store.commit();
  return check;
}

bool in_shard(std::string_view pair_id, std::uint32_t index, std::uint32_t count) {
  detail::require(index < count, "shard {} of {} is out of range: shards count from 0", index,
                  count);
  text::Sha256 hash;
  hash.update(pair_id);
  const auto digest = hash.finish();
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8U | digest[i];
  return value % count == index;
}

}  // namespace sp2dpo::annotate
