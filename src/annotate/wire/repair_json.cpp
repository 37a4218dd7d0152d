// SPDX-License-Identifier: Apache-2.0
#include "repair_json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace sp2dpo::annotate {
namespace {

constexpr std::size_t max_depth = 500;
constexpr std::string_view replacement = "\xEF\xBF\xBD";

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20;
}

bool is_white(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

void append_escaped(std::string& to, char control) {
  fmt::format_to(std::back_inserter(to), "\\u{:04x}", static_cast<unsigned>(control));
}

/// Returns the length of the UTF-8 character at the beginning of `text`, or 0 if it is invalid.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  const bool bad = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
                   (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F);
  return bad ? 0 : size;
}

/// Removes what may stand in front of a document.
std::string_view without_preamble(std::string_view text) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  for (;;) {
    while (!text.empty() && is_white(text.front())) text.remove_prefix(1);
    if (text.starts_with(mark)) {
      text.remove_prefix(mark.size());
    } else if (text.starts_with(':')) {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else {
      return text;
    }
  }
}

class Repair {
 public:
  explicit Repair(std::string_view text) : text_(without_preamble(text)) {}

  RepairedJson run() {
    if (!text_.starts_with('{') && !text_.starts_with('[')) return {};
    made_.text.reserve(text_.size() + 16);
    while (at_ < text_.size()) {
      step();
      if (open_.empty()) break;
    }
    made_.cut = !open_.empty();
    for (; !open_.empty(); open_.pop_back()) close();
    while (at_ < text_.size() && is_white(text_[at_])) ++at_;
    made_.trailing = at_ < text_.size();
    return std::move(made_);
  }

 private:
  [[nodiscard]] bool deep() const { return open_.size() > max_depth; }
  void put(std::string_view piece) {
    if (!deep()) made_.text += piece;
  }

  void step() {
    const char c = text_[at_];
    if (c == '{' || c == '[') {
      if (open_.size() == max_depth) put("null");
      open_ += c == '{' ? '}' : ']';
      put(std::string_view(&c, 1));
      ++at_;
    } else if (c == '}' || c == ']') {
      if (open_.back() != c) {
        bad_shape();
        return;
      }
      close();
      open_.pop_back();
      ++at_;
    } else if (c == '"') {
      string();
    } else if (c == ',' || c == ':') {
      put(std::string_view(&c, 1));
      ++at_;
    } else if (is_control(c) || c == ' ') {
      ++at_;
    } else {
      word();
    }
  }

  /// Ends the document at a bracket that closes another one.
  void bad_shape() {
    for (; !open_.empty(); open_.pop_back()) close();
  }

  /// Writes the innermost closing bracket, after whatever a cut left unfinished before it.
  void close() {
    auto& to = made_.text;
    if (!deep()) {
      if (to.ends_with(',')) {
        to.pop_back();
      } else if (to.ends_with(':')) {
        to += "null";
      } else if (open_.back() == '}' && key_pending()) {
        to += ":null";
      }
    }
    if (open_.size() <= max_depth) to += open_.back();
  }

  /// True if the last string is a key that still lacks its value.
  [[nodiscard]] bool key_pending() const {
    if (!made_.text.ends_with('"') || last_string_ == 0) return false;
    const char before = made_.text[last_string_ - 1];
    return before == '{' || before == ',';
  }

  void string() {
    last_string_ = made_.text.size();
    put("\"");
    for (++at_; at_ < text_.size() && text_[at_] != '"';) {
      const char c = text_[at_];
      if (c == '\\') {
        escape();
      } else if (is_control(c)) {
        if (!deep()) append_escaped(made_.text, c);
        ++at_;
      } else if (const std::size_t size = character_size(text_.substr(at_)); size > 0) {
        put(text_.substr(at_, size));
        at_ += size;
      } else {
        put(replacement);
        made_.bad_utf8 = true;
        ++at_;
      }
    }
    if (at_ < text_.size()) ++at_;
    put("\"");
  }

  /// Returns the code unit of a `\u` escape at `at`; -1 if it is invalid.
  [[nodiscard]] int unit(std::size_t at) const {
    if (text_.substr(at, 2) != "\\u" || at + 6 > text_.size()) return -1;
    unsigned code = 0;
    const char* const end = text_.data() + at + 6;
    const auto [last, error] = std::from_chars(text_.data() + at + 2, end, code, 16);
    return error == std::errc() && last == end ? static_cast<int>(code) : -1;
  }

  void escape() {
    constexpr std::string_view simple = "\"\\/bfnrt";
    if (at_ + 1 < text_.size() && simple.find(text_[at_ + 1]) != std::string_view::npos) {
      put(text_.substr(at_, 2));
      at_ += 2;
      return;
    }
    const int code = unit(at_);
    const bool high = code >= 0xD800 && code < 0xDC00;
    const bool low = code >= 0xDC00 && code < 0xE000;
    const int next = high ? unit(at_ + 6) : -1;
    if (high && next >= 0xDC00 && next < 0xE000) {
      put(text_.substr(at_, 12));
      at_ += 12;
    } else if (code >= 0 && !high && !low) {
      put(text_.substr(at_, 6));
      at_ += 6;
    } else {
      put(replacement);
      made_.bad_escape = true;
      at_ += code >= 0 ? 6 : 1;
    }
  }

  void word() {
    const std::size_t begin = at_;
    constexpr std::string_view ends = ",:{}[]\" \t\r\n";
    while (at_ < text_.size() && ends.find(text_[at_]) == std::string_view::npos) ++at_;
    const std::string_view token = text_.substr(begin, at_ - begin);
    if (token == "true" || token == "false" || token == "null") {
      put(token);
      return;
    }
    double number = 0;
    const char* const end = token.data() + token.size();
    const auto [last, error] = std::from_chars(token.data(), end, number);
    if (error != std::errc() || last != end || !std::isfinite(number)) {
      put("null");
    } else if (is_integer(token)) {
      put(token);
    } else {
      put(fmt::format("{:.17e}", number));
    }
  }

  /// True for an integer as JSON spells it that fits into 64 bits.
  static bool is_integer(std::string_view token) {
    if (token.starts_with('-')) token.remove_prefix(1);
    return token.size() <= 18 && token.find_first_not_of("0123456789") == std::string_view::npos &&
           (token == "0" || !token.starts_with('0'));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string open_;  // the brackets that close what is open, innermost last
  std::size_t last_string_ = 0;
  RepairedJson made_;
};

}  // namespace

RepairedJson repair_json(std::string_view text) {
  return Repair(text).run();
}

std::string escape_controls(std::string_view json) {
  std::string made;
  made.reserve(json.size());
  bool inside = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (inside && is_control(c)) {
      append_escaped(made, c);
      continue;
    }
    made += c;
    if (c == '"') {
      inside = !inside;
    } else if (inside && c == '\\' && i + 1 < json.size()) {
      made += json[++i];
    }
  }
  return made;
}

}  // namespace sp2dpo::annotate
