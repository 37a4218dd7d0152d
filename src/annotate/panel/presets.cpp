// SPDX-License-Identifier: Apache-2.0
#include "presets.hpp"

#include <array>
#include <utility>

namespace sp2dpo::annotate {
namespace {

Judge qwen() {
  return {.name = "qwen3.7-max",
          .model = "qwen3.7-max-2026-05-20",  // a snapshot; names without a date move
          .family = "qwen",
          .endpoint = {.base_url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                       .key_variable = "DASHSCOPE_API_KEY"},
          .capabilities = {.structured = Structured::json_object, .seed = true},
          // It enforces JSON only while it does not think.
          .decoding = {.temperature = 0, .extra = {{"enable_thinking", "false"}}}};
}

Judge gpt() {
  return {.name = "gpt-6.1-terra",
          .model = "gpt-6.1-terra",
          .family = "openai",
          .endpoint = {.base_url = "https://api.openai.com/v1", .key_variable = "OPENAI_API_KEY"},
          .capabilities = {.max_tokens_field = "max_completion_tokens", .temperature = false},
          // Its reasoning counts against the limit.
          .decoding = {.max_tokens = 4096, .extra = {{"reasoning_effort", R"("low")"}}}};
}

Judge gemini() {
  return {.name = "gemini-3.5-flash-lite",
          .model = "gemini-3.5-flash-lite",
          .family = "gemini",
          .endpoint = {.base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
                       .key_variable = "GEMINI_API_KEY"},
          // It accepts a subset of JSON Schema and refuses requests with other keywords. Its vendor
          // advises against a temperature below the default.
          .capabilities = {.structured = Structured::json_object},
          .decoding = {.max_tokens = 2048}};
}

// The next three models have been withdrawn, or their names move. The presets stay, so that a store
// that was begun with them can be read and continued.

Judge qwen_max() {
  return {.name = "qwen-max",
          .model = "qwen-max",
          .family = "qwen",
          .endpoint = {.base_url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                       .key_variable = "DASHSCOPE_API_KEY"},
          .capabilities = {.structured = Structured::json_object, .seed = true},
          .decoding = {.temperature = 0}};
}

Judge gpt_5_mini() {
  return {.name = "gpt-5-mini",
          .model = "gpt-5-mini",
          .family = "openai",
          .endpoint = {.base_url = "https://api.openai.com/v1", .key_variable = "OPENAI_API_KEY"},
          .capabilities = {.max_tokens_field = "max_completion_tokens", .temperature = false},
          // Its reasoning counts against the limit.
          .decoding = {.max_tokens = 4096, .extra = {{"reasoning_effort", R"("low")"}}}};
}

Judge gemini_2_0_flash() {
  return {.name = "gemini-2.0-flash",
          .model = "gemini-2.0-flash",
          .family = "gemini",
          .endpoint = {.base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
                       .key_variable = "GEMINI_API_KEY"},
          // It accepts a subset of JSON Schema and refuses requests with other keywords.
          .capabilities = {.structured = Structured::json_object},
          .decoding = {.temperature = 0}};
}

/// A free server on this machine that needs no key.
Judge local(std::string name, std::string url) {
  return {.name = name,
          .model = {},
          .family = std::move(name),
          .endpoint = {.base_url = std::move(url)},
          .capabilities = {.seed = true},
          .decoding = {.temperature = 0},
          .price = ListPrice{}};
}

Judge vllm() {
  Judge judge = local("vllm", "http://localhost:8000/v1");
  judge.capabilities.logprobs = true;
  return judge;
}

Judge llama_cpp() {
  return local("llama.cpp", "http://localhost:8080/v1");
}

Judge ollama() {
  return local("ollama", "http://localhost:11434/v1");
}

using Make = Judge (*)();
constexpr std::array<std::pair<std::string_view, Make>, 6> presets = {{
    {"qwen3.7-max", qwen},
    {"gpt-6.1-terra", gpt},
    {"gemini-3.5-flash-lite", gemini},
    {"vllm", vllm},
    {"llama.cpp", llama_cpp},
    {"ollama", ollama},
}};
constexpr std::array<std::pair<std::string_view, Make>, 3> retired = {{
    {"qwen-max", qwen_max},
    {"gpt-5-mini", gpt_5_mini},
    {"gemini-2.0-flash", gemini_2_0_flash},
}};

}  // namespace

std::optional<Judge> preset(std::string_view name) {
  for (const auto& [known, make] : presets)
    if (known == name) return make();
  for (const auto& [known, make] : retired)
    if (known == name) return make();
  return std::nullopt;
}

std::string preset_names() {
  std::string names;
  for (const auto& [name, make] : presets) (names += names.empty() ? "" : ", ") += name;
  return names;
}

}  // namespace sp2dpo::annotate
