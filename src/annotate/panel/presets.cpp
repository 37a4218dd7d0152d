// SPDX-License-Identifier: Apache-2.0
#include "presets.hpp"

#include <array>
#include <utility>

namespace sp2dpo::annotate {
namespace {

Teacher qwen_max() {
  return {.name = "qwen-max",
          .model = "qwen-max",
          .family = "qwen",
          .endpoint = {.base_url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                       .key_variable = "DASHSCOPE_API_KEY"},
          .capabilities = {.structured = Structured::json_object, .seed = true},
          .decoding = {.temperature = 0}};
}

Teacher gpt_5_mini() {
  return {.name = "gpt-5-mini",
          .model = "gpt-5-mini",
          .family = "openai",
          .endpoint = {.base_url = "https://api.openai.com/v1", .key_variable = "OPENAI_API_KEY"},
          .capabilities = {.max_tokens_field = "max_completion_tokens", .temperature = false},
          // What it thinks counts as answer.
          .decoding = {.max_tokens = 4096, .extra = {{"reasoning_effort", R"("low")"}}}};
}

Teacher gemini_2_0_flash() {
  return {
      .name = "gemini-2.0-flash",
      .model = "gemini-2.0-flash",
      .family = "gemini",
      .endpoint = {.base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
                   .key_variable = "GEMINI_API_KEY"},
      // It takes a subset of JSON Schema, and names the fields that it does not know in an error.
      .capabilities = {.structured = Structured::json_object},
      .decoding = {.temperature = 0}};
}

/// A server on this machine, which asks for no key and costs nothing.
Teacher local(std::string name, std::string url) {
  return {.name = name,
          .model = {},
          .family = std::move(name),
          .endpoint = {.base_url = std::move(url)},
          .capabilities = {.seed = true},
          .decoding = {.temperature = 0},
          .price = ListPrice{}};
}

Teacher vllm() {
  Teacher teacher = local("vllm", "http://localhost:8000/v1");
  teacher.capabilities.logprobs = true;
  return teacher;
}

Teacher llama_cpp() {
  return local("llama.cpp", "http://localhost:8080/v1");
}

Teacher ollama() {
  return local("ollama", "http://localhost:11434/v1");
}

using Make = Teacher (*)();
constexpr std::array<std::pair<std::string_view, Make>, 6> presets = {{
    {"qwen-max", qwen_max},
    {"gpt-5-mini", gpt_5_mini},
    {"gemini-2.0-flash", gemini_2_0_flash},
    {"vllm", vllm},
    {"llama.cpp", llama_cpp},
    {"ollama", ollama},
}};

}  // namespace

std::optional<Teacher> preset(std::string_view name) {
  for (const auto& [known, make] : presets)
    if (known == name) return make();
  return std::nullopt;
}

std::string preset_names() {
  std::string names;
  for (const auto& [name, make] : presets) (names += names.empty() ? "" : ", ") += name;
  return names;
}

}  // namespace sp2dpo::annotate
