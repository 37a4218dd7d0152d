// SPDX-License-Identifier: Apache-2.0
#include "objects.hpp"

#include <algorithm>

namespace sp2dpo::annotate {
namespace {

constexpr std::size_t nowhere = std::string_view::npos;
/// Verdicts are flat. The bound keeps a text of opening brackets from taking quadratic time.
constexpr int deepest = 16;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

/// These functions return the position after the element at `at`, or nowhere if it is malformed.
std::size_t skip_string(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '"') return nowhere;
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\')
      ++at;
    else if (static_cast<unsigned char>(text[at]) < 0x20)
      return nowhere;
  }
  return nowhere;
}

std::size_t skip_value(std::string_view text, std::size_t at, int depth);

/// `{"name": value, …}` or `[value, …]`.
std::size_t skip_list(std::string_view text, std::size_t at, int depth) {
  if (depth > deepest) return nowhere;
  const bool named = text[at] == '{';
  const char close = named ? '}' : ']';
  at = skip_space(text, at + 1);
  if (at < text.size() && text[at] == close) return at + 1;
  for (;;) {
    if (named) {
      at = skip_string(text, at);
      if (at == nowhere) return nowhere;
      at = skip_space(text, at);
      if (at >= text.size() || text[at] != ':') return nowhere;
      at = skip_space(text, at + 1);
    }
    at = skip_value(text, at, depth);
    if (at == nowhere) return nowhere;
    at = skip_space(text, at);
    if (at >= text.size()) return nowhere;
    if (text[at] == close) return at + 1;
    if (text[at] != ',') return nowhere;
    at = skip_space(text, at + 1);
  }
}

std::size_t skip_value(std::string_view text, std::size_t at, int depth) {
  if (at >= text.size()) return nowhere;
  if (text[at] == '"') return skip_string(text, at);
  if (text[at] == '{' || text[at] == '[') return skip_list(text, at, depth + 1);
  const std::size_t begin = at;  // a number, true, false or null
  while (at < text.size() && (std::string_view("+-.").find(text[at]) != nowhere ||
                              (text[at] >= '0' && text[at] <= '9') ||
                              (text[at] >= 'a' && text[at] <= 'z') || text[at] == 'E'))
    ++at;
  return at == begin ? nowhere : at;
}

/// Returns true if the object at `at` begins with one of the names.
bool begins_with(std::string_view text, std::size_t at,
                 const std::vector<std::string_view>& names) {
  at = skip_space(text, at + 1);
  const std::size_t end = skip_string(text, at);
  if (end == nowhere) return false;
  const auto name = text.substr(at + 1, end - at - 2);
  const auto colon = skip_space(text, end);
  return colon < text.size() && text[colon] == ':' && std::ranges::find(names, name) != names.end();
}

}  // namespace

Objects find_objects(std::string_view text, const std::vector<std::string_view>& names) {
  Objects found;
  for (std::size_t at = text.find('{'); at != nowhere; at = text.find('{', at)) {
    const std::size_t end = skip_list(text, at, 1);
    if (end != nowhere) {
      found.whole.push_back(text.substr(at, end - at));
      at = end;
    } else if (begins_with(text, at, names)) {
      found.broken = at;
      return found;
    } else {
      ++at;
    }
  }
  return found;
}

}  // namespace sp2dpo::annotate
