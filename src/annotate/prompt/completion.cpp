// SPDX-License-Identifier: Apache-2.0
#include "completion.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "text/printable.hpp"
#include "wire/error_body.hpp"
#include "wire/finish_reason.hpp"
#include "wire/reply_body.hpp"
#include "wire/trimmed.hpp"
#include <fmt/format.h>
#include <simdjson.h>

namespace sp2dpo::annotate {
namespace {

using Kind = AnnotationFailure::Kind;
using simdjson::dom::element;

std::string text_of(const simdjson::simdjson_result<element>& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// The content of a message.
struct Content {
  std::string text{};
  std::string refusal{};
  std::string unknown_part{};  ///< the type of a part that is in no table
  std::string elsewhere{};     ///< where else text was found
};

void note(std::string& places, const std::string& place) {
  if (places.find(place) != std::string::npos) return;
  places += (places.empty() ? "" : ", ") + place;
}

/// Reads a list of parts.
void read_parts(simdjson::dom::array parts, Content& content) {
  static constexpr std::array set_apart = {
      "thinking",       "reasoning",    "reasoning_content", "redacted_thinking",
      "reasoning_text", "summary_text", "reference"};
  for (const element part : parts) {
    const std::string type = text_of(part["type"]);
    const std::string text = text_of(part["text"]);
    if (type == "text") {
      content.text += text;
    } else if (type == "refusal") {
      content.refusal += text_of(part["refusal"]) + text;
    } else if (type == "output_text") {
      if (!text.empty()) note(content.elsewhere, "a content part of type output_text");
    } else if (std::ranges::find(set_apart, type) != set_apart.end()) {
      note(content.elsewhere, "a content part of type " + type);
    } else if (content.unknown_part.empty()) {
      content.unknown_part = part.is_object() && !type.empty()
                                 ? text::one_line(type)
                                 : text::one_line(simdjson::minify(part));
    }
  }
}

Content content_of(element message) {
  Content content;
  simdjson::dom::array parts;
  const auto field = message["content"];
  if (field.get(parts) == simdjson::SUCCESS) {
    read_parts(parts, content);
  } else if (field.is_object()) {
    note(content.elsewhere, "an object in content");
  } else {
    content.text = text_of(field);
  }
  content.refusal += text_of(message["refusal"]);
  return content;
}

/// Adds the fields of a message or a choice that hold text, but for those that every reply has.
void note_fields(element object, const std::string& prefix, std::string& places) {
  static constexpr std::array usual = {"role", "content",       "refusal", "name",
                                       "id",   "finish_reason", "type",    "object"};
  simdjson::dom::object fields;
  if (object.get(fields) != simdjson::SUCCESS) return;
  for (const auto [key, value] : fields) {
    if (std::ranges::find(usual, key) != usual.end()) continue;
    std::string_view text;
    simdjson::dom::array items;
    simdjson::dom::object inside;
    const bool filled = (value.get(text) == simdjson::SUCCESS && !trimmed(text).empty()) ||
                        (value.get(items) == simdjson::SUCCESS && items.size() > 0) ||
                        (key == "function_call" && value.get(inside) == simdjson::SUCCESS);
    if (filled && key != "annotations" && key != "logprobs")
      note(places, prefix + text::one_line(key));
  }
}

std::variant<Completion, AnnotationFailure> read_choice(element document, element choice,
                                                        const FinishReason& reason) {
  element message;
  if (choice["message"].get(message) != simdjson::SUCCESS || !message.is_object()) {
    std::string places;
    note_fields(choice, "the choice's ", places);
    return AnnotationFailure{Kind::malformed, places.empty()
                                                  ? "the choice has no message"
                                                  : "the choice has no message, but " + places};
  }
  Content content = content_of(message);
  switch (reason.finish) {
    case Finish::filtered:
      return AnnotationFailure{Kind::filtered, "finish_reason " + reason.word};
    case Finish::failed:
      return AnnotationFailure{Kind::malformed, "the server failed: finish_reason " + reason.word};
    default:
      break;
  }
  if (!content.refusal.empty())
    return AnnotationFailure{Kind::refused, text::one_line(content.refusal)};
  switch (reason.finish) {
    case Finish::truncated:
      return AnnotationFailure{Kind::truncated, fmt::format("finish_reason {} after {} bytes",
                                                            reason.word, content.text.size())};
    case Finish::called:
      return AnnotationFailure{Kind::malformed, "finish_reason " + reason.word};
    case Finish::unknown:
      return AnnotationFailure{
          Kind::malformed,
          fmt::format("unknown finish_reason {}; if it means that the reply is complete, add it to "
                      "can.finish_reasons",
                      reason.word)};
    default:
      break;
  }
  if (!content.unknown_part.empty())
    return AnnotationFailure{Kind::malformed,
                             "content has a part of unknown type: " + content.unknown_part};
  if (trimmed(content.text).empty()) {
    note_fields(message, "", content.elsewhere);
    return AnnotationFailure{Kind::empty, content.elsewhere.empty()
                                              ? "no text"
                                              : "no text in content; found " + content.elsewhere};
  }
  std::string model = text_of(document["model"]);
  if (!simdjson::validate_utf8(content.text) || !simdjson::validate_utf8(model))
    return AnnotationFailure{Kind::encoding, "the reply has half of a surrogate pair"};
  return Completion{std::move(content.text), std::move(model)};
}

}  // namespace

std::variant<Completion, AnnotationFailure> read_completion(
    std::string_view body, std::span<const std::string> finish_reasons) {
  static thread_local simdjson::dom::parser parser;
  const ReplyBody read = parse_reply_body(body, parser);
  if (!read.json)
    return AnnotationFailure{
        Kind::malformed,
        is_event_stream(body)
            ? "the server sent an event stream, although the request says \"stream\": false"
            : fmt::format("not JSON: {}", text::one_line(body))};
  const element document = *read.json;
  simdjson::dom::array choices;
  const bool listed = document.is_object() && document["choices"].get(choices) == simdjson::SUCCESS;
  if (const auto error = listed ? error_in(document) : read_error(document))
    return AnnotationFailure{Kind::malformed, error->message};
  if (!listed)
    return AnnotationFailure{Kind::malformed, "not a completion: " + text::one_line(body)};
  for (const element choice : choices) {
    element message;
    auto error = error_in(choice);
    if (!error && choice["message"].get(message) == simdjson::SUCCESS) error = error_in(message);
    if (error) return AnnotationFailure{Kind::malformed, "the server failed: " + error->message};
  }
  if (choices.size() != 1)
    return AnnotationFailure{Kind::malformed,
                             fmt::format("expected one choice, got {}", choices.size())};
  const element choice = *choices.begin();
  const FinishReason reason = finish_reason(choice, finish_reasons);
  // A server that failed is the cause of whatever else is wrong.
  if (const auto damage = read.damage(); !damage.empty() && reason.finish != Finish::failed)
    return AnnotationFailure{
        read.repairs.bad_utf8 || read.repairs.bad_escape ? Kind::encoding : Kind::malformed,
        damage};
  return read_choice(document, choice, reason);
}

}  // namespace sp2dpo::annotate
