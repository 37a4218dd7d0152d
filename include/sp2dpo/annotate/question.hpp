// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/annotate/judge.hpp>
#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// One question to a judge about a pair: the prompt, the order and the sample. Borrows judge and
/// prompt.
struct Question {
  const Judge* judge = nullptr;
  const Prompt* prompt = nullptr;
  std::optional<Order> order{};  ///< of a blind prompt; empty for an informed one
  std::int32_t sample = 0;
};

/// Returns the annotator and prompt under which the question's annotations are filed.
[[nodiscard]] AnnotatorId annotator_id(const Question& question);

/// Renders the request that puts a question. Its key is SHA-256 over the body with family, revision
/// and sample: two questions have equal keys if and only if they make the same request. Throws
/// InvalidArgument, naming the pair, for a text that is not UTF-8.
[[nodiscard]] ChatRequest make_request(const Question& question, const PreferencePair& pair);

/// Version of read_reply(), recorded in every annotation. Another version may read another verdict
/// from the same reply; a version that only refuses more replies, or reads more of them, keeps it.
inline constexpr int parser_version = 1;

/// Reads the verdict from the raw reply to `make_request(question, pair)`, whose key is `key`.
/// The last object that begins like a verdict counts, if it follows the prompt's schema and no
/// earlier one differs from it (docs/prompts.md). Nothing is coerced, clamped or guessed. The
/// annotation's `meta` has `request` (the key), `model` as returned, and `parser`.
[[nodiscard]] AnnotationOutcome read_reply(const Question& question, const PreferencePair& pair,
                                           std::string_view key, std::string_view body);

/// Reads what an endpoint returned. A reply that is not `answered` is a failure of its kind.
[[nodiscard]] AnnotationOutcome read_reply(const Question& question, const PreferencePair& pair,
                                           std::string_view key, const ChatReply& reply);

/// Returns true if the same question may bring a verdict when it is asked again. False after a
/// refusal, a content filter, a cut at the token limit, and a question that has no reply.
[[nodiscard]] bool may_mend(AnnotationFailure::Kind kind);

}  // namespace sp2dpo::annotate
