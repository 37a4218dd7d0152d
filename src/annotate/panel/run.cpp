// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <deque>
#include <unordered_map>
#include <utility>
#include <variant>

#include "panel_questions.hpp"
#include "text/sha256.hpp"

#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {

namespace {

using namespace std::chrono_literals;

double cost(const std::optional<Price>& price, double prompt_tokens, double completion_tokens) {
  if (!price) return 0;
  return (price->prompt * prompt_tokens + price->completion * completion_tokens) / 1e6;
}

double most(const std::optional<Price>& price, const ChatRequest& request) {
  return cost(price, static_cast<double>(request.prompt_bytes), request.max_tokens);
}

std::string_view name_of(ChatReply::Kind kind) {
  switch (kind) {
    case ChatReply::Kind::answered:
      return "answered";
    case ChatReply::Kind::transport:
      return "transport";
    case ChatReply::Kind::quota:
      return "quota";
    case ChatReply::Kind::rejected:
      return "rejected";
  }
  return "";
}

class Run {
 public:
  Run(std::span<const PreferencePair> pairs, std::span<const PanelMember> members, Store& store,
      const RunOptions& options)
      : pairs_(pairs), members_(members), store_(store), options_(options) {
    check_members(members);
    if (!pairs.empty()) Questions(pairs.front(), members);
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
  /// A question that is to be sent.
  struct Call {
    const PreferencePair* pair;
    std::size_t member;
    int ask;
    ChatRequest request;
  };
  /// What is asked of one endpoint; it goes through the pairs at its own speed.
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

  /// Sends as much as the endpoint takes. True where there is more to be looked at without waiting.
  bool fill(Lane& lane) {
    // Enough for the endpoint never to wait for us; no more, for memory's sake.
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
      auto question = member.question(pair);
      auto& request = question.request;
      note_question(store_, pair, member, question);
      if (!seen_.insert(request.key)) {
        ++progress.shared;
        continue;
      }
      const int ask = next_ask(pair, member, store_, request.key);
      if (ask < 0) {
        ++progress.stored;
      } else if (lane.endpoint == nullptr) {
        ++progress.failed;
      } else {
        lane.ready.push_back({&pair, index, ask, std::move(request)});
      }
    }
  }

  /// Sends the lane's next call; false where the limits do not allow it now.
  bool send(Lane& lane) {
    Call& call = lane.ready.front();
    const auto& price = members_[call.member].price;
    const double reserve = most(price, call.request);
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
                            take(lane, {pair, member, ask, std::move(asked)}, reply);
                          });
    lane.ready.pop_front();
    return true;
  }

  void release(Lane& lane, const std::string& key) {
    const auto reserve = reserves_.extract(key);
    result_.progress.reserved -= reserve.mapped();
    if (reserves_.empty()) result_.progress.reserved = 0;  // what rounding left
    --lane.in_flight;
    blocked_ = false;
  }

  void take(Lane& lane, Call call, const ChatReply& reply) {
    auto& progress = result_.progress;
    const auto& member = members_[call.member];
    const auto& key = call.request.key;
    release(lane, key);
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    if (reply.kind != ChatReply::Kind::answered) {
      if (reply.attempts == 0) return;  // the endpoint has stopped: it was not asked at all
      ++progress.failed;
      store_.add(StoredFailure{.key = key,
                               .kind = std::string(name_of(reply.kind)),
                               .http_status = reply.http_status,
                               .detail = reply.detail,
                               .created = now});
      return;
    }
    store_.add(StoredAnswer{.key = key,
                            .ask = call.ask,
                            .http_status = reply.http_status,
                            .request_id = reply.request_id,
                            .body = reply.body,
                            .usage = reply.usage,
                            .seconds = reply.seconds,
                            .attempts = reply.attempts,
                            .created = now});
    if (reply.usage) {
      progress.prompt_tokens += reply.usage->prompt_tokens;
      progress.completion_tokens += reply.usage->completion_tokens;
      progress.cost += cost(member.price, static_cast<double>(reply.usage->prompt_tokens),
                            static_cast<double>(reply.usage->completion_tokens));
    } else {
      progress.cost += most(member.price, call.request);
    }
    if (call.ask + 1 < member.max_asks && !stopping_ &&
        member.read(*call.pair, reply.body).ask_again) {
      ++progress.asked_again;
      ++call.ask;
      lane.ready.push_front(std::move(call));
      return;
    }
    ++progress.answered;
  }

  void withdraw(Lane& lane) {
    if (lane.endpoint == nullptr) return;
    for (const auto& request : lane.endpoint->withdraw()) release(lane, request.key);
  }

  void round(std::chrono::milliseconds timeout) {
    try {
      Endpoint::poll(endpoints_, timeout);
    } catch (...) {
      store_.commit();  // what came before it is paid for
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
  bool blocked_ = false;   // by max_cost, until something that is under way comes back
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
    const Questions questions(pair, members);
    for (std::size_t i = 0; i < members.size(); ++i) {
      const auto& request = questions[i].request;
      auto& plan = plans[i];
      ++plan.questions;
      if (!seen.insert(request.key)) {
        ++plan.shared;
      } else if (store != nullptr && next_ask(pair, members[i], *store, request.key) < 0) {
        ++plan.stored;
      } else {
        ++plan.calls;
        const double prompt_tokens = static_cast<double>(request.prompt_bytes) / 4;
        plan.prompt_tokens += prompt_tokens;
        plan.completion_tokens += request.max_tokens;
        plan.cost += cost(members[i].price, prompt_tokens, request.max_tokens);
        plan.most += most(members[i].price, request);
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
                const Store& store, const std::function<void(const PanelAnswer&)>& f) {
  check_members(members);
  for (const auto& pair : pairs) {
    const Questions questions(pair, members);
    for (std::size_t i = 0; i < members.size(); ++i) {
      const auto& key = questions[i].request.key;
      const auto raw = store.answers(key);
      ReadAnswer answer = read_all(pair, members[i], raw);
      if (auto* failure = std::get_if<AnnotationFailure>(&answer.outcome); failure && raw.empty()) {
        const auto attempts = store.failures(key);
        if (!attempts.empty()) failure->detail += "; last came " + attempts.back().detail;
      }
      f({pair, i, questions[i], std::move(answer), raw});
    }
  }
}

bool in_shard(std::string_view pair_id, std::uint32_t index, std::uint32_t count) {
  detail::require(index < count, "there is no shard {} of {}: they are counted from 0", index,
                  count);
  text::Sha256 hash;
  hash.update(pair_id);
  const auto digest = hash.finish();
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8U | digest[i];
  return value % count == index;
}

}  // namespace sp2dpo::annotate
