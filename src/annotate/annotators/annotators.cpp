// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "wire/error_body.hpp"
#include <simdjson.h>

#include <sp2dpo/annotate/annotators.hpp>
#include <sp2dpo/annotate/question.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

using detail::require;
using simdjson::dom::element;

Annotation annotation_of(const AnnotatorId& id, const PreferencePair& pair) {
  return {.pair_id = pair.id, .annotator = id.annotator, .prompt = id.prompt};
}

void set_verdict(Annotation& annotation, double lead) {
  annotation.magnitude = std::abs(lead);
  annotation.preferred = lead > 0   ? Preferred::chosen
                         : lead < 0 ? Preferred::rejected
                                    : Preferred::tie;
}

const std::string& column(const PreferencePair& pair, const std::string& name) {
  const auto found = pair.columns.find(name);
  if (found == pair.columns.end()) throw ColumnError(pair.id, name, "is missing");
  return found->second;
}

/// Returns the number in a column; empty for null.
std::optional<double> number(const PreferencePair& pair, const std::string& name) {
  simdjson::dom::parser parser;
  const std::string& text = column(pair, name);
  element value;
  double found = 0;
  const bool parsed = parser.parse(text).get(value) == simdjson::SUCCESS;
  if (parsed && value.is_null()) return std::nullopt;
  if (!parsed || !value.is_number() || value.get(found) != simdjson::SUCCESS)
    throw ColumnError(pair.id, name, "expected a number, got " + one_line(text));
  return found;
}

std::optional<double> score(const PreferencePair& pair, const std::string& name,
                            const ColumnOptions::Scores& scores) {
  const auto found = number(pair, name);
  if (found && !(*found >= scores.lowest && *found <= scores.highest))
    throw ColumnError(
        pair.id, name,
        fmt::format("expected a score in [{}, {}], got {}", scores.lowest, scores.highest, *found));
  return found;
}

/// Returns the object of ratings in a column.
element ratings_in(const PreferencePair& pair, const std::string& name,
                   simdjson::dom::parser& parser) {
  element value;
  const bool parsed = parser.parse(column(pair, name)).get(value) == simdjson::SUCCESS;
  if (!parsed || !value.is_object())
    throw ColumnError(pair.id, name, "expected an object of ratings");
  return value;
}

/// Returns one rating; empty for `"N/A"`, null, and an aspect that the object lacks.
std::optional<double> rating_in(const PreferencePair& pair, const std::string& name,
                                element ratings, const std::string& aspect,
                                const RatingOptions& options) {
  const auto fail = [&](const std::string& reason) {
    throw ColumnError(pair.id, name + "." + aspect, reason);
  };
  element value, inside;
  if (ratings[aspect].get(value) != simdjson::SUCCESS) return std::nullopt;
  if (value["Rating"].get(inside) == simdjson::SUCCESS) value = inside;
  if (value.is_null()) return std::nullopt;
  double found = 0;
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    if (text == "N/A") return std::nullopt;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, found);
    if (error != std::errc() || stop != end)
      fail(fmt::format("expected a rating, got \"{}\"", one_line(text)));
  } else if (!value.is_number() || value.get(found) != simdjson::SUCCESS) {
    fail("expected a rating, got " + one_line(simdjson::minify(value)));
  }
  if (!(found >= options.lowest && found <= options.highest))
    fail(fmt::format("expected a rating in [{}, {}], got {}", options.lowest, options.highest,
                     found));
  return found;
}

}  // namespace

ColumnError::ColumnError(const std::string& pair_id, std::string column_, std::string reason_)
    : InvalidArgument(fmt::format("pair {}: column \"{}\": {}", pair_id, column_, reason_)),
      column(std::move(column_)),
      reason(std::move(reason_)) {}

FromColumns::FromColumns(AnnotatorId id, ColumnOptions options)
    : id_(std::move(id)), options_(std::move(options)) {
  require(options_.scale > 0 && std::isfinite(options_.scale), "scale must be above 0, got {}",
          options_.scale);
  require(options_.max_tie >= 0 && options_.max_tie < options_.scale,
          "max_tie must be in [0, {}), got {}", options_.scale, options_.max_tie);
  require(options_.confidence >= 0 && options_.confidence <= 1,
          "confidence must be in [0, 1], got {}", options_.confidence);
  if (const auto* scores = std::get_if<ColumnOptions::Scores>(&options_.source))
    require(scores->lowest < scores->highest, "lowest score {} must be below highest score {}",
            scores->lowest, scores->highest);
}

AnnotationOutcome FromColumns::annotate(const PreferencePair& pair) const {
  std::optional<double> lead;
  std::string source;
  if (const auto* scores = std::get_if<ColumnOptions::Scores>(&options_.source)) {
    source = scores->chosen + " - " + scores->rejected;
    const auto chosen = score(pair, scores->chosen, *scores);
    const auto rejected = score(pair, scores->rejected, *scores);
    if (chosen && rejected) lead = *chosen - *rejected;
  } else {
    source = std::get<ColumnOptions::Strength>(options_.source).column;
    lead = number(pair, source);
    if (lead) lead = std::abs(*lead);
  }
  if (!lead) return AnnotationFailure{AnnotationFailure::Kind::missing, source + " is null"};
  if (!(std::abs(*lead) <= options_.scale))
    throw ColumnError(pair.id, source,
                      fmt::format("{} is beyond the scale of {}", *lead, options_.scale));
  if (std::abs(*lead) <= options_.max_tie) lead = 0;
  Annotation annotation = annotation_of(id_, pair);
  set_verdict(annotation, *lead / options_.scale);
  annotation.category = options_.category;
  annotation.confidence = options_.confidence;
  return annotation;
}

FromRatings::FromRatings(AnnotatorId id, RatingOptions options)
    : id_(std::move(id)), options_(std::move(options)) {
  require(options_.lowest < options_.highest, "lowest rating {} must be below highest rating {}",
          options_.lowest, options_.highest);
  require(!options_.aspects.empty(), "the list of rated aspects is empty");
  for (const auto& [aspect, category] : options_.aspects)
    static_cast<void>(options_.categories.at(category));
}

AnnotationOutcome FromRatings::annotate(const PreferencePair& pair) const {
  simdjson::dom::parser of_chosen, of_rejected;
  const element chosen = ratings_in(pair, options_.chosen, of_chosen);
  const element rejected = ratings_in(pair, options_.rejected, of_rejected);

  double sum = 0, sum_of_sizes = 0, largest = -1;
  int count = 0;
  Annotation annotation = annotation_of(id_, pair);
  for (const auto& [aspect, name] : options_.aspects) {
    const auto a = rating_in(pair, options_.chosen, chosen, aspect, options_);
    const auto b = rating_in(pair, options_.rejected, rejected, aspect, options_);
    if (!a || !b) continue;
    const double d = (*a - *b) / (options_.highest - options_.lowest);
    const Category category = options_.categories.at(name);
    if (std::abs(d) > largest || (std::abs(d) == largest && category < annotation.category)) {
      largest = std::abs(d);
      annotation.category = category;
    }
    sum += d;
    sum_of_sizes += std::abs(d);
    ++count;
  }
  if (count == 0)
    return AnnotationFailure{AnnotationFailure::Kind::missing, "no aspect is rated for both"};
  set_verdict(annotation, sum / count);
  annotation.confidence = sum_of_sizes > 0 ? std::abs(sum) / sum_of_sizes : 1;
  return annotation;
}

Replay::Replay(AnnotatorId id, std::span<const Annotation> annotations, std::optional<Order> order,
               std::int32_t sample)
    : id_(std::move(id)) {
  for (const auto& annotation : annotations) {
    if (annotation.annotator != id_.annotator || annotation.prompt != id_.prompt ||
        annotation.order != order || annotation.sample != sample)
      continue;
    require(by_pair_.try_emplace(annotation.pair_id, annotation).second,
            "pair {} has two annotations by {} under prompt {} with the same order and sample",
            annotation.pair_id, id_.annotator, id_.prompt);
  }
}

AnnotationOutcome Replay::annotate(const PreferencePair& pair) const {
  const auto found = by_pair_.find(pair.id);
  if (found != by_pair_.end()) return found->second;
  return AnnotationFailure{
      AnnotationFailure::Kind::missing,
      fmt::format("no annotation by {} under prompt {}", id_.annotator, id_.prompt)};
}

Recording::Recording(const Annotator& inner, Sink sink) : inner_(inner), sink_(std::move(sink)) {
  require(static_cast<bool>(sink_), "Recording needs a function");
}

AnnotationOutcome Recording::annotate(const PreferencePair& pair) const {
  auto outcome = inner_.annotate(pair);
  const std::lock_guard lock(one_at_a_time_);
  sink_(pair, outcome);
  return outcome;
}

Retrying::Retrying(const Annotator& inner, int attempts) : inner_(inner), attempts_(attempts) {
  require(attempts_ >= 1, "attempts must be at least 1, got {}", attempts_);
}

AnnotationOutcome Retrying::annotate(const PreferencePair& pair) const {
  for (int attempt = 1;; ++attempt) {
    auto outcome = inner_.annotate(pair);
    const auto* failure = std::get_if<AnnotationFailure>(&outcome);
    if (failure == nullptr || attempt == attempts_ || !may_mend(failure->kind)) return outcome;
  }
}

AnnotationOutcome Swapped::annotate(const PreferencePair& pair) const {
  PreferencePair exchanged = pair;
  std::swap(exchanged.chosen, exchanged.rejected);
  auto outcome = inner_.annotate(exchanged);
  if (auto* annotation = std::get_if<Annotation>(&outcome)) {
    if (annotation->preferred != Preferred::tie)
      annotation->preferred =
          annotation->preferred == Preferred::chosen ? Preferred::rejected : Preferred::chosen;
    if (annotation->order)
      annotation->order =
          *annotation->order == Order::chosen_first ? Order::rejected_first : Order::chosen_first;
  }
  return outcome;
}

}  // namespace sp2dpo::annotate
