// SPDX-License-Identifier: Apache-2.0
#include "statements.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace sp2dpo::ptx {

void refuse(const std::string& what, std::string_view text) {
  throw std::runtime_error("PTX: " + what + ": " + std::string(text));
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

Words split(std::string_view text, char separator) {
  Words parts;
  std::string part;
  int depth = 0;
  for (const char c : text) {
    depth += (c == '{' || c == '[' || c == '(') - (c == '}' || c == ']' || c == ')');
    if (c == separator && depth == 0)
      parts.push_back(trimmed(std::exchange(part, {})));
    else
      part += c;
  }
  if (!trimmed(part).empty()) parts.push_back(trimmed(part));
  return parts;
}

std::string without_comments(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == "//")
      i = std::min(text.find('\n', i), text.size());
    else
      result += text[i++];
  }
  return result;
}

std::uint32_t lines_in(std::string_view text) {
  return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
}

bool is_location(std::string_view text) {
  return text.starts_with(".loc ") || text.starts_with(".loc\t");
}

void for_each_statement(
    std::string_view body, std::uint32_t line,
    const std::function<void(const std::string& statement, std::uint32_t line)>& f) {
  std::string current;
  std::uint32_t first_line = line;
  int scopes = 0;
  int vectors = 0;
  bool is_blank = true;
  const auto finish = [&] {
    if (auto text = trimmed(std::exchange(current, {})); !text.empty()) f(text, first_line);
    is_blank = true;
  };
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (is_blank && blanks.find(c) == std::string_view::npos) first_line = line;
    if (is_blank && is_location(body.substr(i))) {  // ends without a semicolon
      const auto end = std::min(body.find('\n', i), body.size());
      f(std::string(body.substr(i, end - i)), line++);
      i = end;
    } else if (c == '{' && is_blank) {
      ++scopes;
    } else if (c == '}' && vectors == 0) {
      if (scopes-- == 0) break;
    } else if (c == ';') {
      finish();
    } else if (c == ':' && !is_blank && body.substr(i, 2) != "::" && current.back() != ':' &&
               trimmed(current).find_first_of(blanks) == std::string::npos) {
      current += c;
      finish();
    } else {
      vectors += (c == '{') - (c == '}');
      current += c;
      is_blank = is_blank && blanks.find(c) != std::string_view::npos;
      line += c == '\n';
    }
  }
}

std::uint32_t bytes_of(std::string_view type) {
  if (type.starts_with('.')) type.remove_prefix(1);
  if (type == "pred") return 1;
  unsigned bits = 0;
  if (std::string_view("busf").find(type.substr(0, 1)) != std::string_view::npos)
    std::from_chars(type.data() + 1, type.data() + type.size(), bits);
  if (bits % 8 != 0 || bits == 0) refuse("type of unknown size", type);
  return bits / 8;
}

std::uint64_t number(const std::string& text) {
  if (text.starts_with("0f") || text.starts_with("0d"))
    return std::stoull(text.substr(2), nullptr, 16);
  if (!text.empty() && text[0] == '-')
    return static_cast<std::uint64_t>(std::stoll(text, nullptr, 0));
  if (text.empty() || !std::isdigit(text[0])) refuse("invalid number", text);
  return std::stoull(text, nullptr, 0);
}

}  // namespace sp2dpo::ptx
