// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "fake_answer.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/question.hpp>

namespace sp2dpo::annotate::test {

inline const Prompt& prompt_named(std::string_view name, Form form = Form::informed) {
  static const auto informed = built_in_prompts();
  static const auto blind = built_in_prompts({.form = Form::blind});
  for (const auto& prompt : form == Form::informed ? informed : blind)
    if (prompt.name().starts_with(name)) return prompt;
  throw std::invalid_argument("no such prompt");
}

inline Judge judge_named(std::string name) {
  return {.name = std::move(name), .model = "model-1", .family = "family-1"};
}

/// Returns a prompt of a few words, for tests that count bytes or need no rubric.
inline const Prompt& tiny_prompt() {
  static const Prompt prompt(R"(name: tiny
version: 1

# system
{{categories}}

# informed
{{mark}} {{prompt}} {{mark}} {{chosen}} {{mark}} {{rejected}}

# informed schema
{"type": "object", "additionalProperties": false,
 "required": ["category", "magnitude", "confidence"],
 "properties": {"category": {"type": "string", "enum": {{category_names}} },
                "magnitude": {"type": "number"}, "confidence": {"type": "number"}}}
)",
                             "tiny");
  return prompt;
}

inline PreferencePair plain_pair() {
  return {.id = "p1", .prompt = "What is 2+2?", .chosen = "4", .rejected = "5"};
}

/// Returns a completion with this text in its message.
inline std::string body_with(std::string_view text, std::string_view finish = "stop") {
  return fmt::format(
      R"({{"id":"c","object":"chat.completion","created":1,"model":"model-1-0613","choices":[)"
      R"({{"index":0,"message":{{"role":"assistant","content":{},"refusal":null}},)"
      R"("finish_reason":"{}"}}],"usage":{{"prompt_tokens":9,"completion_tokens":4}}}})",
      json_text(text), finish);
}

}  // namespace sp2dpo::annotate::test
