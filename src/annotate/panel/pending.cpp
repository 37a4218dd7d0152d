// SPDX-License-Identifier: Apache-2.0
#include "pending.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "prompt/requests.hpp"
#include "wire/reply_verdict.hpp"

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {

namespace {

std::uint64_t from_hex(std::string_view hex) {
  std::uint64_t value = 0;
  for (const char c : hex)
    value = value << 4U | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  return value;
}

}  // namespace

bool KeySet::insert(std::string_view key) {
  detail::require(key.size() == 64, "a request's key has 64 hex digits, got {}", key.size());
  return seen_.insert({from_hex(key.substr(0, 16)), from_hex(key.substr(16, 16))}).second;
}

void check_members(std::span<const PanelMember> members) {
  std::unordered_map<std::string, std::vector<const PanelMember*>> by_identity;
  for (const auto& member : members) {
    detail::require(member.judge != nullptr && member.prompt != nullptr,
                    "a panel member has no judge or no prompt");
    detail::require(member.judge->reasks >= 0, "judge {}: reasks must be at least 0, got {}",
                    member.judge->name, member.judge->reasks);
    auto& alike =
        by_identity[request_identity({member.judge, member.prompt, member.order, member.sample})];
    for (const auto* const other : alike)
      detail::require(
          member.order && other->order && *member.order != *other->order,
          "annotators {} and {} would send the same request under prompts {} and {}: one reply "
          "would count twice; give them different sample numbers",
          other->judge->name, member.judge->name, other->prompt->name(), member.prompt->name());
    alike.push_back(&member);
  }
}

void record_question(Store& store, std::string_view pair_id, const PanelMember& member,
                     const Question& question, const ChatRequest& request) {
  const auto& judge = *member.judge;
  store.add(StoredQuestion{.pair_id = std::string(pair_id),
                           .annotator = judge.name,
                           .prompt = member.prompt->name(),
                           .order = question.order,
                           .sample = question.sample,
                           .key = request.key});
  store.add(StoredRequest{request.key, judge.family, judge.model, request.body});
}

AnnotationOutcome read_replies(const Question& question, const PreferencePair& pair,
                               std::span<const StoredReply> replies) {
  AnnotationOutcome outcome =
      AnnotationFailure{AnnotationFailure::Kind::missing, "the store has no reply"};
  for (const auto& reply : replies) {
    outcome = read_reply(question, pair, reply.key, reply.body);
    if (std::holds_alternative<Annotation>(outcome)) break;
  }
  return outcome;
}

bool wants_another_reply(const Question& question, const AnnotationOutcome& outcome) {
  const auto* failure = std::get_if<AnnotationFailure>(&outcome);
  return failure != nullptr && may_mend(failure->kind) && may_reply_otherwise(*question.judge);
}

int next_ask(const Question& question, const PreferencePair& pair, const Store& store,
             std::string_view key) {
  const auto replies = store.replies(key);
  if (replies.empty()) return 0;
  // Not their number: results of another store may begin with a later ask.
  const int next = replies.back().ask + 1;
  const auto outcome = read_replies(question, pair, replies);
  if (std::holds_alternative<Annotation>(outcome)) return -1;
  const auto counted = std::ranges::count_if(replies, [&](const StoredReply& reply) {
    return standing_of(reply.body, question.judge->endpoint.finish_reasons).counts;
  });
  if (counted == 0) return next;
  return counted <= question.judge->reasks && wants_another_reply(question, outcome) ? next : -1;
}

}  // namespace sp2dpo::annotate
