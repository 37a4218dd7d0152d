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
  require(found != pair.columns.end(), "pair {}: there is no column \"{}\"", pair.id, name);
  return found->second;
}

/// Empty for null.
std::optional<double> number(const PreferencePair& pair, const std::string& name) {
  simdjson::dom::parser parser;
  const std::string& text = column(pair, name);
  element value;
  require(parser.parse(text).get(value) == simdjson::SUCCESS, "pair {}: column \"{}\" is no JSON",
          pair.id, name);
  if (value.is_null()) return std::nullopt;
  double found = 0;
  require(value.is_number() && value.get(found) == simdjson::SUCCESS,
          "pair {}: column \"{}\": expected a number, not {}", pair.id, name, one_line(text));
  return found;
}

/// Empty for `"N/A"` and null.
std::optional<double> rating(element value) {
  element inside;
  if (value["Rating"].get(inside) == simdjson::SUCCESS) value = inside;
  std::string_view text;
  if (value.is_null()) return std::nullopt;
  double number = 0;
  if (value.is_number() && value.get(number) == simdjson::SUCCESS) return number;
  require(value.get(text) == simdjson::SUCCESS, "expected a rating, not {}",
          one_line(simdjson::minify(value)));
  if (text == "N/A") return std::nullopt;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  require(error == std::errc() && stop == end, "expected a rating, not \"{}\"", one_line(text));
  return number;
}

}  // namespace

FromColumns::FromColumns(AnnotatorId id, ColumnOptions options)
    : id_(std::move(id)), options_(std::move(options)) {
  require(options_.scale > 0 && std::isfinite(options_.scale),
          "the scale of a column is a number above 0, not {}", options_.scale);
  require(options_.confidence >= 0 && options_.confidence <= 1,
          "a confidence is a number in [0, 1], not {}", options_.confidence);
}

AnnotationOutcome FromColumns::annotate(const PreferencePair& pair) const {
  std::optional<double> lead;
  std::string source;
  if (const auto* scores = std::get_if<ColumnOptions::Scores>(&options_.source)) {
    source = scores->chosen + " - " + scores->rejected;
    const auto chosen = number(pair, scores->chosen), rejected = number(pair, scores->rejected);
    if (chosen && rejected) lead = *chosen - *rejected;
  } else {
    source = std::get<ColumnOptions::Strength>(options_.source).column;
    lead = number(pair, source);
    if (lead) lead = std::abs(*lead);
  }
  if (!lead) return AnnotationFailure{AnnotationFailure::Kind::missing, source + " is null"};
  require(std::abs(*lead) <= options_.scale, "pair {}: {} = {} is beyond the scale of {}", pair.id,
          source, *lead, options_.scale);
  Annotation annotation = annotation_of(id_, pair);
  set_verdict(annotation, *lead / options_.scale);
  annotation.category = options_.category;
  annotation.confidence = options_.confidence;
  return annotation;
}

FromRatings::FromRatings(AnnotatorId id, RatingOptions options)
    : id_(std::move(id)), options_(std::move(options)) {
  require(options_.lowest < options_.highest, "a scale from {} to {} is none", options_.lowest,
          options_.highest);
  require(!options_.aspects.empty(), "there are no aspects to be rated");
  for (const auto& [aspect, category] : options_.aspects)
    static_cast<void>(options_.categories.at(category));
}

AnnotationOutcome FromRatings::annotate(const PreferencePair& pair) const {
  simdjson::dom::parser of_chosen, of_rejected;
  const auto ratings = [&](simdjson::dom::parser& parser, const std::string& name) {
    element value;
    const bool read = parser.parse(column(pair, name)).get(value) == simdjson::SUCCESS;
    require(read && value.is_object(), "pair {}: column \"{}\": expected an object of ratings",
            pair.id, name);
    return value;
  };
  const element chosen = ratings(of_chosen, options_.chosen);
  const element rejected = ratings(of_rejected, options_.rejected);
  const auto rated = [&](element all, const std::string& name,
                         const std::string& aspect) -> std::optional<double> {
    element value;
    if (all[aspect].get(value) != simdjson::SUCCESS) return std::nullopt;
    try {
      const auto number = rating(value);
      require(!number || (*number >= options_.lowest && *number <= options_.highest),
              "{} is not in [{}, {}]", number.value_or(0), options_.lowest, options_.highest);
      return number;
    } catch (const InvalidArgument& error) {
      throw InvalidArgument(fmt::format("pair {}: {}.{}: {}", pair.id, name, aspect, error.what()));
    }
  };

  double sum = 0, sum_of_sizes = 0, largest = -1;
  int count = 0;
  Annotation annotation = annotation_of(id_, pair);
  for (const auto& [aspect, name] : options_.aspects) {
    const auto a = rated(chosen, options_.chosen, aspect);
    const auto b = rated(rejected, options_.rejected, aspect);
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
            "pair {} has two annotations by {} under {} in one order with one sample number",
            annotation.pair_id, id_.annotator, id_.prompt);
  }
}

AnnotationOutcome Replay::annotate(const PreferencePair& pair) const {
  const auto found = by_pair_.find(pair.id);
  if (found != by_pair_.end()) return found->second;
  return AnnotationFailure{AnnotationFailure::Kind::missing,
                           fmt::format("no annotation by {} under {}", id_.annotator, id_.prompt)};
}

Recording::Recording(const Annotator& inner, Sink sink) : inner_(inner), sink_(std::move(sink)) {
  require(static_cast<bool>(sink_), "there is no function to record with");
}

AnnotationOutcome Recording::annotate(const PreferencePair& pair) const {
  auto outcome = inner_.annotate(pair);
  const std::lock_guard lock(one_at_a_time_);
  sink_(pair, outcome);
  return outcome;
}

Retrying::Retrying(const Annotator& inner, int attempts) : inner_(inner), attempts_(attempts) {
  require(attempts_ >= 1, "an annotator is asked at least once, not {} times", attempts_);
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
