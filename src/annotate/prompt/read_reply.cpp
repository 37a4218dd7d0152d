// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "completion.hpp"
#include "text/json_writer.hpp"
#include "verdict.hpp"
#include "wire/trimmed.hpp"
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

Preferred preferred_of(std::string_view answer, std::optional<Order> order) {
  if (answer == "tie") return Preferred::tie;
  const bool first = answer == "A";
  const bool chosen_first = order.value_or(Order::chosen_first) == Order::chosen_first;
  return first == chosen_first ? Preferred::chosen : Preferred::rejected;
}

}  // namespace

AnnotationOutcome read_reply(const Question& question, const PreferencePair& pair,
                             std::string_view key, std::string_view body) {
  auto completion = read_completion(body, question.judge->endpoint.finish_reasons);
  if (auto* failure = std::get_if<AnnotationFailure>(&completion)) return std::move(*failure);
  const auto& [text, model] = std::get<Completion>(completion);

  const Prompt& prompt = *question.prompt;
  simdjson::dom::parser schema_parser, parser;
  const element schema = schema_parser.parse(prompt.schema()).value();
  const std::string_view answer = without_fence(without_reasoning(text));
  if (answer.empty()) return AnnotationFailure{Kind::empty, "reasoning only"};
  auto found = find_verdict(answer, schema, pair);
  if (auto* failure = std::get_if<AnnotationFailure>(&found)) return std::move(*failure);

  const element verdict = parser.parse(std::get<std::string>(found)).value();
  Annotation annotation{.pair_id = pair.id,
                        .annotator = question.judge->name,
                        .prompt = prompt.name(),
                        .order = question.order,
                        .sample = question.sample};
  for (const auto& [field, to] : {std::pair{"magnitude", &annotation.magnitude},
                                  std::pair{"confidence", &annotation.confidence}})
    *to = verdict[field].get_double().value();
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
