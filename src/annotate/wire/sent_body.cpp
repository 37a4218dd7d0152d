// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/annotate/chat.hpp>

namespace sp2dpo::annotate {
namespace {

/// Far more than the samples of a panel, whose seeds follow each other.
constexpr std::int64_t seed_step = 1'000'000;

/// Returns the value of a field of a JSON object that make_request() wrote, as it stands there;
/// empty if the object has no such field.
std::string_view field_in(std::string_view body, std::string_view name) {
  int depth = 0;
  std::size_t value = std::string_view::npos;
  for (std::size_t at = 0; at < body.size(); ++at) {
    const char c = body[at];
    if (c == '"') {
      const std::size_t begin = at + 1;
      for (++at; at < body.size() && body[at] != '"'; ++at)
        if (body[at] == '\\') ++at;
      const bool key = depth == 1 && value == std::string_view::npos && at + 1 < body.size() &&
                       body[at + 1] == ':' && body.substr(begin, at - begin) == name;
      if (key) value = at + 2;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']' || c == ',') {
      if (value != std::string_view::npos && (depth == 1)) return body.substr(value, at - value);
      if (c != ',') --depth;
    }
  }
  return {};
}

std::optional<std::int64_t> integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::int64_t> sent_seed(std::string_view body, int ask) {
  const auto seed = integer(field_in(body, "seed"));
  if (!seed) return std::nullopt;
  return *seed + ask * seed_step;
}

std::string sent_body(const ChatRequest& request) {
  std::string body = request.body;
  if (request.ask > 0) {
    if (const auto seed = sent_seed(body, request.ask)) {
      const auto field = field_in(body, "seed");
      body.replace(static_cast<std::size_t>(field.data() - body.data()), field.size(),
                   std::to_string(*seed));
    }
  }
  if (body.ends_with('}') && field_in(body, "stream").empty())
    body.replace(body.size() - 1, 1, body == "{}" ? "\"stream\":false}" : ",\"stream\":false}");
  return body;
}

}  // namespace sp2dpo::annotate
