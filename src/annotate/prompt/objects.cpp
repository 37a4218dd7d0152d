// SPDX-License-Identifier: Apache-2.0
#include "objects.hpp"

#include <algorithm>
#include <array>

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
/// Control characters in strings are accepted: some servers let them through.
std::size_t skip_string(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '"') return nowhere;
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\') ++at;
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

enum class Beginning { other, strict, loose };

/// What models write in place of a double quote.
constexpr std::array<std::string_view, 12> quote_marks = {"\\\"", "\"", "'", "`", "“", "”",
                                                          "„",    "‘",  "’", "«", "»", "**"};

std::size_t skip_quote(std::string_view text, std::size_t at) {
  for (const auto quote : quote_marks)
    if (text.substr(at).starts_with(quote)) return at + quote.size();
  return at;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_word(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

/// Compares the beginning of the object at `at` with the names.
Beginning beginning(std::string_view text, std::size_t at,
                    const std::vector<std::string_view>& names) {
  const std::size_t open = skip_space(text, at + 1);
  const std::size_t word = skip_quote(text, open);
  for (const auto name : names) {
    if (!std::ranges::equal(text.substr(word, name.size()), name, {}, lower, lower)) continue;
    const std::size_t end = word + name.size();
    if (end < text.size() && is_word(text[end])) continue;
    const std::size_t close = skip_quote(text, end);
    const std::size_t colon = skip_space(text, close);
    if (colon < text.size() && text[colon] != ':' && text[colon] != '=') continue;
    const bool strict = text.substr(open, word - open) == "\"" &&
                        text.substr(end, close - end) == "\"" && colon < text.size() &&
                        text[colon] == ':' && text.substr(word, name.size()) == name;
    return strict ? Beginning::strict : Beginning::loose;
  }
  return Beginning::other;
}

/// Adds the objects that begin like a verdict inside a whole object.
void find_nested(std::string_view outer, const std::vector<std::string_view>& names,
                 std::vector<VerdictLike>& to) {
  for (std::size_t at = 1; at < outer.size(); ++at) {
    if (outer[at] == '"') {
      at = skip_string(outer, at) - 1;
    } else if (outer[at] == '{' && beginning(outer, at, names) != Beginning::other) {
      const std::size_t end = skip_list(outer, at, 1);
      to.push_back({VerdictLike::Shape::nested, outer.substr(at, end - at), outer});
      at = end - 1;
    }
  }
}

}  // namespace

Objects find_objects(std::string_view text, const std::vector<std::string_view>& names) {
  Objects found;
  for (std::size_t at = text.find('{'); at != nowhere; at = text.find('{', at)) {
    const std::size_t end = skip_list(text, at, 1);
    const Beginning begins = beginning(text, at, names);
    if (end == nowhere) {
      if (begins != Beginning::other)
        found.verdicts.push_back(
            {begins == Beginning::strict ? VerdictLike::Shape::broken : VerdictLike::Shape::loose,
             text.substr(at)});
      ++at;
      continue;
    }
    const auto object = text.substr(at, end - at);
    if (begins == Beginning::other) {
      found.others.push_back(object);
      if (!names.empty()) find_nested(object, names, found.verdicts);
    } else {
      found.verdicts.push_back({VerdictLike::Shape::whole, object});
    }
    at = end;
  }
  return found;
}

}  // namespace sp2dpo::annotate
