// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "completion.hpp"
#include "objects.hpp"
#include "schema.hpp"
#include "text/field.hpp"
#include "text/json_writer.hpp"
#include "trimmed.hpp"
#include "wire/error_body.hpp"
#include <simdjson.h>

#include <sp2dpo/annotate/question.hpp>

namespace sp2dpo::annotate {
namespace {

using Kind = AnnotationFailure::Kind;
using simdjson::dom::element;

/// Removes reasoning from the beginning of a text, up to its first end only: a judge that quotes a
/// `</think>` from a response must not lose the verdict before it.
std::string_view without_reasoning(std::string_view text) {
  constexpr std::string_view open = "<think>", close = "</think>";
  text = trimmed(text);
  if (!text.starts_with(open)) return text;
  const auto end = text.find(close);
  return end == std::string_view::npos ? std::string_view()
                                       : trimmed(text.substr(end + close.size()));
}

/// Removes a code fence around the whole text.
std::string_view without_fence(std::string_view text) {
  constexpr std::string_view fence = "```";
  const auto first_line = text.find('\n');
  if (!text.starts_with(fence) || !text.ends_with(fence) || first_line == std::string_view::npos)
    return text;
  return trimmed(text.substr(first_line, text.size() - first_line - fence.size()));
}

/// Returns the objects in the texts of a pair as canonical JSON.
std::vector<std::string> objects_of(const PreferencePair& pair) {
  std::vector<std::string> objects;
  const auto collect = [&](std::string_view text) {
    for (const auto object : find_objects(text).whole) {
      try {
        objects.push_back(text::canonical_json(object));
      } catch (const InvalidArgument&) {
        continue;  // invalid JSON, which no verdict can equal
      }
    }
  };
  for (const Text* const text : {&pair.prompt, &pair.chosen, &pair.rejected}) {
    if (const auto* plain = std::get_if<std::string>(text)) {
      collect(*plain);
    } else {
      for (const auto& turn : std::get<std::vector<Message>>(*text)) collect(turn.content);
    }
  }
  return objects;
}

struct Read {
  std::optional<std::string> verdict{};  // canonical JSON
  AnnotationFailure failure{};           // set if `verdict` is empty
};

/// Finds the only object in a text that matches the schema.
Read find_verdict(std::string_view text, element schema, const PreferencePair& pair) {
  std::vector<std::string_view> names;
  const simdjson::dom::object properties = schema["properties"];
  for (const auto [name, property] : properties) names.push_back(name);
  const Objects objects = find_objects(text, names);

  simdjson::dom::parser parser;
  std::vector<std::string> verdicts;  // canonical and distinct
  std::string complaint;              // about the first object that does not match
  bool surrogate = false;
  for (const auto object : objects.whole) {
    element value;
    std::string wrong;
    if (const auto error = parser.parse(object.data(), object.size()).get(value)) {
      surrogate |= error == simdjson::STRING_ERROR && object.find("\\u") != std::string_view::npos;
      wrong = simdjson::error_message(error);
    } else {
      wrong = violation(value, schema);
    }
    if (!wrong.empty()) {
      if (complaint.empty()) complaint = wrong;
      continue;
    }
    std::string canonical = text::canonical_json(object);
    if (!simdjson::validate_utf8(canonical)) {
      surrogate = true;
      continue;
    }
    if (std::ranges::find(verdicts, canonical) != verdicts.end()) continue;
    verdicts.push_back(std::move(canonical));
  }

  const bool alone = objects.whole.size() == 1 && objects.whole.front().size() == text.size();
  if (!verdicts.empty() && !alone) {
    // A verdict that also occurs in the pair, and here among other words, may be a quotation.
    const auto quoted = objects_of(pair);
    std::erase_if(verdicts, [&](const std::string& verdict) {
      return std::ranges::find(quoted, verdict) != quoted.end();
    });
    if (verdicts.empty())
      return {.failure = {Kind::ambiguous, "the verdict also occurs in the pair"}};
  }
  if (verdicts.size() > 1)
    return {.failure = {Kind::ambiguous, fmt::format("{} different verdicts", verdicts.size())}};
  if (objects.broken)
    return {.failure = {Kind::invalid, fmt::format("the object that begins with {} breaks off",
                                                   one_line(text.substr(*objects.broken, 80)))}};
  if (verdicts.size() == 1) return {.verdict = std::move(verdicts.front())};
  if (surrogate) return {.failure = {Kind::encoding, "the verdict has half of a surrogate pair"}};
  if (!complaint.empty()) return {.failure = {Kind::invalid, complaint}};
  return {
      .failure = {Kind::no_verdict,
                  one_line(text.substr(text.size() - std::min<std::size_t>(text.size(), 120)))}};
}

Preferred preferred_of(std::string_view answer, std::optional<Order> order) {
  if (answer == "tie") return Preferred::tie;
  const bool first = answer == "A";
  const bool chosen_first = order.value_or(Order::chosen_first) == Order::chosen_first;
  return first == chosen_first ? Preferred::chosen : Preferred::rejected;
}

}  // namespace

AnnotationOutcome read_reply(const Question& question, const PreferencePair& pair,
                             std::string_view key, std::string_view body) {
  auto completion = read_completion(body);
  if (auto* failure = std::get_if<AnnotationFailure>(&completion)) return std::move(*failure);
  const auto& [text, model] = std::get<Completion>(completion);

  const Prompt& prompt = *question.prompt;
  simdjson::dom::parser schema_parser, parser;
  const element schema = schema_parser.parse(prompt.schema()).value();
  const std::string_view answer = without_fence(without_reasoning(text));
  if (answer.empty()) return AnnotationFailure{Kind::empty, "reasoning only"};
  const Read read = find_verdict(answer, schema, pair);
  if (!read.verdict) return read.failure;

  const element verdict = parser.parse(*read.verdict).value();
  Annotation annotation{.pair_id = pair.id,
                        .annotator = question.judge->name,
                        .prompt = prompt.name(),
                        .order = question.order,
                        .sample = question.sample};
  for (const auto& [field, to] : {std::pair{"magnitude", &annotation.magnitude},
                                  std::pair{"confidence", &annotation.confidence}}) {
    *to = verdict[field].get_double().value();
    if (!(*to >= 0 && *to <= 1))
      return AnnotationFailure{Kind::invalid,
                               fmt::format("{}: expected a number in [0, 1], got {}", field, *to)};
  }
  annotation.category = prompt.categories().at(verdict["category"].get_string().value());
  if (prompt.form() == Form::blind)
    annotation.preferred = preferred_of(verdict["preferred"].get_string().value(), question.order);
  std::string_view rationale;
  if (verdict["rationale"].get(rationale) == simdjson::SUCCESS) annotation.rationale = rationale;

  text::JsonWriter meta(annotation.meta);
  meta.open('{');
  meta.key("model").text(model);
  meta.key("parser").integer(parser_version);
  if (prompt.version() > 1) meta.key("prompt_version").integer(prompt.version());
  meta.key("request").text(key);
  meta.close('}');
  return annotation;
}

AnnotationOutcome read_reply(const Question& question, const PreferencePair& pair,
                             std::string_view key, const ChatReply& reply) {
  switch (reply.kind) {
    case ChatReply::Kind::answered:
      return read_reply(question, pair, key, reply.body);
    case ChatReply::Kind::quota:
      return AnnotationFailure{Kind::quota, reply.detail};
    case ChatReply::Kind::rejected:
      return AnnotationFailure{Kind::rejected, reply.detail};
    case ChatReply::Kind::transport:
      break;
  }
  return AnnotationFailure{Kind::transport, reply.detail};
}

bool may_mend(AnnotationFailure::Kind kind) {
  switch (kind) {
    case Kind::empty:
    case Kind::no_verdict:
    case Kind::invalid:
    case Kind::ambiguous:
    case Kind::encoding:
    case Kind::malformed:
    case Kind::transport:
      return true;
    default:
      return false;
  }
}

}  // namespace sp2dpo::annotate
