// SPDX-License-Identifier: Apache-2.0
#include "panel_questions.hpp"

#include <variant>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {

namespace {

std::uint64_t number(std::string_view hex) {
  std::uint64_t value = 0;
  for (const char c : hex)
    value = value << 4U | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  return value;
}

std::string_view name_of(const std::optional<Order>& order) {
  return order ? name(*order) : "";
}

}  // namespace

bool KeySet::insert(std::string_view key) {
  detail::require(key.size() == 64, "the key of a request has 64 hex digits, not {}", key.size());
  return seen_.insert({number(key.substr(0, 16)), number(key.substr(16, 16))}).second;
}

Questions::Questions(const PreferencePair& pair, std::span<const PanelMember> members) {
  questions_.reserve(members.size());
  for (const auto& member : members) {
    questions_.push_back(member.question(pair));
    for (std::size_t other = 0; other + 1 < questions_.size(); ++other)
      detail::require(questions_[other].request.key != questions_.back().request.key,
                      "annotators {} and {} would send the same request under prompts {} and {}: "
                      "one answer would count twice; give them different sample numbers",
                      members[other].id.annotator, member.id.annotator, members[other].id.prompt,
                      member.id.prompt);
  }
}

void check_members(std::span<const PanelMember> members) {
  for (const auto& member : members)
    detail::require(member.question && member.read && member.max_asks > 0,
                    "annotator {}, prompt {}: lacks a function, or may never ask",
                    member.id.annotator, member.id.prompt);
}

void note_question(Store& store, const PreferencePair& pair, const PanelMember& member,
                   const PanelQuestion& question) {
  const auto& request = question.request;
  store.add({.pair_id = pair.id,
             .annotator = member.id.annotator,
             .prompt = member.id.prompt,
             .order = std::string(name_of(question.order)),
             .sample = member.sample,
             .key = request.key});
  store.add(StoredRequest{request.key, member.family, member.model, request.body});
}

ReadAnswer read_all(const PreferencePair& pair, const PanelMember& member,
                    std::span<const StoredAnswer> answers) {
  ReadAnswer read{.outcome = AnnotationFailure{AnnotationFailure::Kind::missing,
                                               "there is no answer in the store"},
                  .failure_class = "missing",
                  .ask_again = true};
  for (const auto& answer : answers) {
    read = member.read(pair, answer.body);
    if (std::holds_alternative<Annotation>(read.outcome)) break;
  }
  return read;
}

int next_ask(const PreferencePair& pair, const PanelMember& member, const Store& store,
             const std::string& key) {
  const auto answers = store.answers(key);
  const int asked = static_cast<int>(answers.size());
  if (asked >= member.max_asks) return -1;
  return read_all(pair, member, answers).ask_again ? asked : -1;
}

}  // namespace sp2dpo::annotate
