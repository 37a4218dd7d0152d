// SPDX-License-Identifier: Apache-2.0
#include "fake_answer.hpp"

#include <cstddef>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <simdjson.h>

namespace sp2dpo::annotate::test {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

double in_01(std::uint64_t hash) {
  return static_cast<double>(hash % 101) / 100;
}

/// An instance of a JSON schema of the kind that strict structured outputs take.
std::string instance(element schema, std::uint64_t hash) {
  array choices;
  if (schema["enum"].get(choices) == simdjson::SUCCESS && choices.size() > 0)
    return simdjson::minify(choices.at(static_cast<std::size_t>(hash % choices.size())).value());
  std::string_view type;
  if (schema["type"].get(type) != simdjson::SUCCESS) return "null";
  if (type == "object") {
    std::string made = "{";
    object properties;
    if (schema["properties"].get(properties) == simdjson::SUCCESS) {
      for (const auto [name, property] : properties) {
        if (made.size() > 1) made += ",";
        made += json_text(name) + ":" + instance(property, hash_of(name, hash));
      }
    }
    return made + "}";
  }
  if (type == "array") {
    element items;
    return schema["items"].get(items) == simdjson::SUCCESS ? "[" + instance(items, hash) + "]"
                                                           : "[]";
  }
  if (type == "number") return fmt::format("{}", in_01(hash));
  if (type == "integer") return fmt::format("{}", hash % 10);
  if (type == "boolean") return hash % 2 == 0 ? "true" : "false";
  return json_text(fmt::format("reason {:x}", hash % 4096));
}

/// The last object in a text that is a schema with properties.
std::optional<std::string> schema_in(std::string_view text) {
  simdjson::dom::parser parser;
  for (std::size_t end = text.rfind("\"properties\""); end != std::string_view::npos;
       end = end == 0 ? std::string_view::npos : text.rfind("\"properties\"", end - 1)) {
    for (std::size_t begin = text.rfind('{', end); begin != std::string_view::npos;
         begin = begin == 0 ? std::string_view::npos : text.rfind('{', begin - 1)) {
      int depth = 0;
      std::size_t last = begin;
      for (; last < text.size(); ++last) {
        depth += text[last] == '{' ? 1 : text[last] == '}' ? -1 : 0;
        if (depth == 0) break;
      }
      element schema;
      if (depth == 0 && last > end &&
          parser.parse(std::string(text.substr(begin, last - begin + 1))).get(schema) ==
              simdjson::SUCCESS &&
          schema["properties"].is_object())
        return std::string(text.substr(begin, last - begin + 1));
    }
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf29ce484222325U ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash ^ (hash >> 29U);
}

std::string json_text(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (json += '\\') += c;
    else if (static_cast<unsigned char>(c) < ' ')
      json += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      json += c;
  }
  return json + "\"";
}

std::string Completion::json(std::uint64_t hash) const {
  const auto completion_tokens = static_cast<std::int64_t>(content.size() / 4 + 1);
  return fmt::format(
      R"({{"id":"chatcmpl-{:016x}","object":"chat.completion","created":1700000000,"model":{},)"
      R"("choices":[{{"index":0,"message":{{"role":"assistant","content":{},"refusal":null}},)"
      R"("logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{},)"
      R"("completion_tokens":{},"total_tokens":{}}},"system_fingerprint":"fp_fake"}})",
      hash, json_text(model), json_text(content), prompt_tokens, completion_tokens,
      prompt_tokens + completion_tokens);
}

Completion complete(std::string_view body) {
  static thread_local simdjson::dom::parser parser;
  element request;
  std::string_view model;
  array messages;
  if (parser.parse(body.data(), body.size()).get(request) != simdjson::SUCCESS ||
      request["model"].get(model) != simdjson::SUCCESS ||
      request["messages"].get(messages) != simdjson::SUCCESS)
    throw std::invalid_argument("no chat request");
  std::string text;
  for (const element message : messages) {
    std::string_view content;
    if (message["content"].get(content) == simdjson::SUCCESS) text += content;
  }
  Completion made{.model = std::string(model),
                  .content = {},
                  .prompt_tokens = static_cast<std::int64_t>(text.size() / 4 + 1)};
  const std::uint64_t hash = hash_of(text, hash_of(model));
  element schema;
  if (request["response_format"]["json_schema"]["schema"].get(schema) == simdjson::SUCCESS) {
    made.content = instance(schema, hash);
  } else if (const auto told = schema_in(text)) {
    simdjson::dom::parser other;
    made.content = instance(other.parse(*told).value(), hash);
  } else {
    made.content = fmt::format(R"({{"echo":"{:016x}"}})", hash);
  }
  return made;
}

}  // namespace sp2dpo::annotate::test
