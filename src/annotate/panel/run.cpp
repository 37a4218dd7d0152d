// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>

#include "pending.hpp"
#include "text/sha256.hpp"

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
  }

  RunResult operator()() {
    for (bool more = true; more;) {
      more = false;
      for (auto& lane : lanes_) more |= fill(lane);
      const bool waiting = in_flight() > 0;
      if (waiting) round(more && !blocked_ ? 0ms : 100ms);
      store_.commit();
      if (blocked_ && in_flight() == 0) end(RunResult::End::max_cost);
      more |= in_flight() > 0 || anything_ready();
      if (options_.should_stop && options_.should_stop(result_.progress) && !stopping_) {
        end(RunResult::End::stopped);
        for (auto& lane : lanes_) withdraw(lane);
      }
    }
    for (const auto* endpoint : endpoints_) {
      const auto why = endpoint->stopped();
      if (!why.empty()) result_.endpoints_stopped.push_back(why);
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
  };
  /// The questions to one endpoint. Each lane advances through the pairs at its own speed.
  struct Lane {
    Endpoint* endpoint = nullptr;
    std::vector<std::size_t> members{};
    std::size_t pair = 0;
    std::deque<Call> ready{};
    std::size_t in_flight = 0;
  };

  Lane& lane_of(Endpoint* endpoint) {
    for (auto& lane : lanes_)
      if (lane.endpoint == endpoint) return lane;
    return lanes_.emplace_back(Lane{.endpoint = endpoint});
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
      if (lane.pair == pairs_.size()) return false;
      if (looked == pairs_a_round) return true;
      look_at(lane, pairs_[lane.pair++]);
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
      } else {
        lane.ready.push_back({&pair, index, ask, std::move(request)});
      }
    }
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
      return false;
    }
    ++sent_;
    ++lane.in_flight;
    progress.reserved += reserve;
    reserves_[call.request.key] = reserve;
    auto request = std::move(call.request);
    lane.endpoint->submit(std::move(request),
                          [this, &lane, pair = call.pair, member = call.member, ask = call.ask](
                              ChatRequest asked, const ChatReply& reply) {
                            on_reply(lane, {pair, member, ask, std::move(asked)}, reply);
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
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    if (reply.kind != ChatReply::Kind::answered) {
      if (reply.attempts == 0) return;  // the endpoint has stopped and never sent it
      ++progress.failed;
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
                           .created = now});
    charge(call, reply.usage);
    const Question question = members_[call.member].about(call.pair->id);
    if (call.ask < question.judge->reasks && !stopping_ &&
        wants_another_reply(read_reply(question, *call.pair, key, reply.body))) {
      ++progress.asked_again;
      ++call.ask;
      lane.ready.push_front(std::move(call));
      return;
    }
    ++progress.answered;
  }

  void charge(const Call& call, const std::optional<Usage>& usage) {
    auto& progress = result_.progress;
    const auto& price = members_[call.member].judge->price;
    if (!usage) {
      progress.cost += max_cost(price, call.request);
      return;
    }
    progress.prompt_tokens += usage->prompt_tokens;
    progress.completion_tokens += usage->completion_tokens;
    progress.cost += cost(price, static_cast<double>(usage->prompt_tokens),
                          static_cast<double>(usage->completion_tokens));
  }

  void withdraw(Lane& lane) {
    if (lane.endpoint == nullptr) return;
    for (const auto& request : lane.endpoint->withdraw()) release(lane, request.key);
  }

  void round(std::chrono::milliseconds timeout) {
    try {
      Endpoint::poll(endpoints_, timeout);
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
  bool blocked_ = false;   // by max_cost, until a request in flight returns
  bool stopping_ = false;  // nothing new is sent
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
      const std::string key = make_request(question, pair).key;
      const auto replies = store.replies(key);
      AnnotationOutcome outcome = read_replies(question, pair, replies);
      if (replies.empty()) {
        const auto attempts = store.failures(key);
        if (!attempts.empty())
          std::get<AnnotationFailure>(outcome).detail += "; last came " + attempts.back().detail;
      }
      sink({pair, i, question, key, std::move(outcome), replies});
    }
  }
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
