// SPDX-License-Identifier: Apache-2.0
#include "verdict.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "objects.hpp"
#include "schema.hpp"
#include "text/json_writer.hpp"
#include "text/printable.hpp"
#include "wire/repair_json.hpp"
#include "wire/trimmed.hpp"
#include <fmt/format.h>

namespace sp2dpo::annotate {
namespace {

using Kind = AnnotationFailure::Kind;
using Shape = VerdictLike::Shape;
using simdjson::dom::element;
using text::one_line;

/// More than a closing remark after the verdict may take it back.
constexpr std::size_t max_remark = 200;

/// Appends a value so that equal values give equal texts: keys sorted, every number as a double.
void append_normal(std::string& to, element value) {
  simdjson::dom::object fields;
  simdjson::dom::array items;
  std::string_view text;
  double number = 0;
  if (value.get(fields) == simdjson::SUCCESS) {
    std::vector<std::pair<std::string_view, element>> sorted;
    for (const auto [key, field] : fields) sorted.emplace_back(key, field);
    std::ranges::stable_sort(sorted, {}, [](const auto& field) { return field.first; });
    to += '{';
    for (const auto& [key, field] : sorted) {
      text::append_json(to, key);
      to += ':';
      append_normal(to, field);
      to += ',';
    }
    to += '}';
  } else if (value.get(items) == simdjson::SUCCESS) {
    to += '[';
    for (const element item : items) {
      append_normal(to, item);
      to += ',';
    }
    to += ']';
  } else if (value.get(text) == simdjson::SUCCESS) {
    text::append_json(to, text);
  } else if (value.is_number() && value.get(number) == simdjson::SUCCESS) {
    text::append_json(to, number);
  } else {
    to += simdjson::minify(value);
  }
}

/// Parses objects. Control characters in their strings are accepted.
class ObjectParser {
 public:
  std::optional<element> parse(std::string_view object) {
    const bool raw =
        std::ranges::any_of(object, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    text_ = raw ? escape_controls(object) : std::string(object);
    element value;
    error_ = parser_.parse(text_).get(value);
    if (error_) return std::nullopt;
    return value;
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const char* error() const { return simdjson::error_message(error_); }
  /// True if the last object failed over an escape, which half of a surrogate pair does.
  [[nodiscard]] bool bad_escape() const {
    return error_ == simdjson::STRING_ERROR && text_.find("\\u") != std::string::npos;
  }

 private:
  simdjson::dom::parser parser_;
  std::string text_;
  simdjson::error_code error_ = simdjson::SUCCESS;
};

/// Returns the objects in the texts of a pair in normal form.
std::unordered_set<std::string> objects_of(const PreferencePair& pair) {
  std::unordered_set<std::string> objects;
  ObjectParser parser;
  const auto collect = [&](std::string_view text) {
    for (const auto object : find_objects(text).others) {
      std::string normal;
      if (const auto value = parser.parse(object)) append_normal(normal, *value);
      objects.insert(std::move(normal));
    }
  };
  for (const Text* const text : {&pair.prompt, &pair.chosen, &pair.rejected}) {
    if (const auto* plain = std::get_if<std::string>(text)) {
      collect(*plain);
    } else {
      for (const auto& turn : std::get<std::vector<Message>>(*text)) collect(turn.content);
    }
  }
  objects.erase("");
  return objects;
}

std::string range_violation(element verdict) {
  for (const char* const field : {"magnitude", "confidence"}) {
    const double number = verdict[field].get_double().value();
    if (!(number >= 0 && number <= 1))
      return fmt::format("{}: expected a number in [0, 1], got {}", field, number);
  }
  return {};
}

/// Returns the end of the last `</think>` that nothing opened, outside the whole objects; 0 without
/// one.
std::size_t end_of_unopened_reasoning(std::string_view text, const std::vector<VerdictLike>& seen) {
  constexpr std::string_view open = "<think>", close = "</think>";
  std::size_t end = 0, opened = 0;
  auto object = seen.begin();
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at + 1)) {
    const auto after = [&](const VerdictLike& other) {
      return static_cast<std::size_t>(other.text.data() - text.data()) + other.text.size();
    };
    while (object != seen.end() && (object->shape != Shape::whole || after(*object) <= at))
      ++object;
    if (object != seen.end() && object->text.data() <= text.data() + at) continue;
    const auto rest = text.substr(at);
    if (rest.starts_with(open)) {
      ++opened;
    } else if (rest.starts_with(close)) {
      if (opened == 0) end = at + close.size();
      if (opened > 0) --opened;
    }
  }
  return end;
}

/// Returns true if the text has the word, in any letter case.
bool has_word(std::string_view text, std::string_view word) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto is_letter = [&](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
  };
  const auto same = [&](char a, char b) { return lower(a) == lower(b); };
  auto from = text.begin();
  for (;;) {
    const auto found = std::search(from, text.end(), word.begin(), word.end(), same);
    if (found == text.end()) return false;
    const auto end = found + static_cast<std::ptrdiff_t>(word.size());
    if ((found == text.begin() || !is_letter(found[-1])) && (end == text.end() || !is_letter(*end)))
      return true;
    from = found + 1;
  }
}

/// Weighs the objects of one text.
class Weighing {
 public:
  Weighing(std::string_view text, element schema, const PreferencePair& pair)
      : text_(text), schema_(schema) {
    const simdjson::dom::object properties = schema["properties"];
    for (const auto [name, property] : properties) names_.push_back(name);
    objects_ = find_objects(text, names_);
    const bool alone = objects_.verdicts.size() == 1 && objects_.verdicts.front().text == text;
    if (!objects_.verdicts.empty() && !alone) quoted_ = objects_of(pair);
  }

  std::variant<std::string, AnnotationFailure> result() {
    auto& seen = objects_.verdicts;
    if (seen.empty()) return without_verdict();
    const auto last = last_own();
    if (last == seen.size())
      return AnnotationFailure{Kind::ambiguous, "the verdict also occurs in the pair"};
    const VerdictLike& verdict = seen[last];
    const auto begin = static_cast<std::size_t>(verdict.text.data() - text_.data());
    if (begin < end_of_unopened_reasoning(text_, seen))
      return AnnotationFailure{Kind::ambiguous, "no verdict follows the reasoning before </think>"};
    Checked checked = check(verdict);
    if (checked.failure) return failure_of(last, std::move(*checked.failure));
    if (auto remark = objection_to(text_.substr(begin + verdict.text.size())); !remark.empty())
      return AnnotationFailure{Kind::ambiguous, std::move(remark)};
    for (std::size_t i = last; i-- > 0;) {
      const Checked earlier = check(seen[i]);
      if (!earlier.failure &&
          (earlier.normal == checked.normal || quoted_.contains(earlier.normal)))
        continue;
      return AnnotationFailure{Kind::ambiguous,
                               fmt::format("an earlier object differs from the verdict: {}",
                                           one_line(seen[i].text.substr(0, 80)))};
    }
    return std::move(checked.json);
  }

 private:
  struct Checked {
    std::optional<AnnotationFailure> failure{};
    std::string json{};  // both set without a failure
    std::string normal{};
  };

  /// Returns the index of the last object that is not a quotation from the pair, or the number of
  /// objects.
  std::size_t last_own() {
    const auto& seen = objects_.verdicts;
    for (std::size_t i = seen.size(); i-- > 0;) {
      if (quoted_.empty()) return i;
      const Checked checked = check(seen[i]);
      if (checked.failure || !quoted_.contains(checked.normal)) return i;
    }
    return seen.size();
  }

  Checked check(const VerdictLike& object) {
    switch (object.shape) {
      case Shape::broken:
      case Shape::loose:
        return {.failure = AnnotationFailure{
                    Kind::invalid, fmt::format("the object that begins with {} breaks off",
                                               one_line(object.text.substr(0, 80)))}};
      case Shape::nested:
        return check_text(object.outer);
      case Shape::whole:
        break;
    }
    return check_text(object.text);
  }

  Checked check_text(std::string_view object) {
    const auto value = parser_.parse(object);
    if (!value && parser_.bad_escape())
      return {.failure =
                  AnnotationFailure{Kind::encoding, "the verdict has half of a surrogate pair"}};
    std::string wrong = value ? violation(*value, schema_) : parser_.error();
    if (wrong.empty()) wrong = range_violation(*value);
    if (!wrong.empty()) return {.failure = AnnotationFailure{Kind::invalid, std::move(wrong)}};
    Checked checked{.json = parser_.text()};
    append_normal(checked.normal, *value);
    if (!simdjson::validate_utf8(checked.normal))
      return {.failure =
                  AnnotationFailure{Kind::encoding, "the verdict has half of a surrogate pair"}};
    return checked;
  }

  /// Returns the failure for a last object that is not usable.
  AnnotationFailure failure_of(std::size_t last, AnnotationFailure failure) const {
    const auto& seen = objects_.verdicts;
    const bool in_json = std::ranges::any_of(
        seen, [](const VerdictLike& object) { return object.shape != Shape::loose; });
    if (in_json || seen[last].shape != Shape::loose) return failure;
    return {Kind::no_verdict, fmt::format("the object that begins with {} is not JSON",
                                          one_line(seen[last].text.substr(0, 80)))};
  }

  AnnotationFailure without_verdict() {
    if (!objects_.others.empty()) {
      auto checked = check_text(objects_.others.front());
      if (checked.failure) return std::move(*checked.failure);
    }
    return {Kind::no_verdict,
            one_line(text_.substr(text_.size() - std::min<std::size_t>(text_.size(), 120)))};
  }

  /// Returns why the text after a verdict may take it back; empty if it does not.
  [[nodiscard]] std::string objection_to(std::string_view rest) const {
    rest = trimmed(rest);
    if (rest.size() > max_remark)
      return fmt::format("{} bytes follow the verdict, more than {}", rest.size(), max_remark);
    for (const auto name : names_)
      if (has_word(rest, name))
        return fmt::format("the text after the verdict mentions \"{}\": {}", name, one_line(rest));
    return {};
  }

  std::string_view text_;
  element schema_;
  std::vector<std::string_view> names_;
  Objects objects_;
  std::unordered_set<std::string> quoted_;
  ObjectParser parser_;
};

}  // namespace

std::variant<std::string, AnnotationFailure> find_verdict(std::string_view text, element schema,
                                                          const PreferencePair& pair) {
  return Weighing(text, schema, pair).result();
}

}  // namespace sp2dpo::annotate
