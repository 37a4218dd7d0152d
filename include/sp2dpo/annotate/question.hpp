// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/annotate/teacher.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// Who is asked about a pair, and how. Borrows teacher and prompt.
struct Question {
  const Teacher* teacher;
  const Prompt* prompt;
  std::optional<Order> order{};  ///< of a blind prompt; empty for an informed one
  std::int32_t sample = 0;
};

/// The request that puts a question. Its key is SHA-256 over the body with family, revision and
/// sample: two questions have the same key where they are the same request. Throws InvalidArgument,
/// naming the pair, for a text that is not UTF-8.
[[nodiscard]] ChatRequest make_request(const Question& question, const PreferencePair& pair);

/// Of read_answer(). Another version may read another verdict from the same raw answer.
inline constexpr int parser_version = 1;

/// Reads the verdict from a raw answer to `make_request(question, pair)`: exactly one object in the
/// text is as the prompt's schema says, whatever stands around it. Nothing is coerced, clamped or
/// guessed. `meta` of the annotation has `request` (the key), `model` as returned and `parser`.
[[nodiscard]] AnnotationOutcome read_answer(const Question& question, const PreferencePair& pair,
                                            std::string_view key, std::string_view body);

/// As read_answer() for what an endpoint gave: a reply that is not answered is a failure of its
/// kind.
[[nodiscard]] AnnotationOutcome read_reply(const Question& question, const PreferencePair& pair,
                                           std::string_view key, const ChatReply& reply);

/// Whether to put the same question again may give a verdict: not after a refusal, a content
/// filter, a cut at the token limit, or what nobody answered.
[[nodiscard]] bool may_mend(AnnotationFailure::Kind kind);

/// The name under which its annotations stand.
[[nodiscard]] AnnotatorId annotator_id(const Question& question);

}  // namespace sp2dpo::annotate
