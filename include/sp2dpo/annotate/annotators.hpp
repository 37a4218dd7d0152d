// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <sp2dpo/error.hpp>
#include <sp2dpo/schedule/annotator.hpp>
#include <sp2dpo/schedule/category.hpp>

/// Annotators that read existing data, and adaptors around other annotators, which they borrow. All
/// may be used from several threads at once.
namespace sp2dpo::annotate {

/// A pair's column that an annotator cannot use: missing, of the wrong type, out of range.
struct ColumnError : InvalidArgument {
  ColumnError(const std::string& pair_id, std::string column_, std::string reason_);

  std::string column;  ///< as the data names it; `ratings_chosen.honesty` for one rating
  std::string reason;  ///< the message without pair and column
};

/// Which columns of a pair hold its verdict. A null value is a missing verdict.
struct ColumnOptions {
  /// Two scores. The response with the higher one is preferred; the magnitude is
  /// |chosen − rejected| / scale.
  struct Scores {
    std::string chosen = "score_chosen";
    std::string rejected = "score_rejected";
    double lowest = -std::numeric_limits<double>::infinity();  ///< a score below is an error
    double highest = std::numeric_limits<double>::infinity();  ///< a score above is an error
  };
  /// One strength of either sign. The chosen response is preferred, with |value| / scale as the
  /// magnitude.
  struct Strength {
    std::string column = "preference_strength";
  };

  std::variant<Scores, Strength> source = Scores{};
  double scale{};       ///< largest possible difference or strength, above 0
  double max_tie = 0;   ///< a difference or strength of at most this is a tie of magnitude 0
  Category category{};  ///< of every annotation
  double confidence = 1;
};

/// Takes verdicts from scores that the data has already: a baseline at no cost.
class FromColumns : public Annotator {
 public:
  /// Throws InvalidArgument unless scale > 0, 0 <= max_tie < scale, lowest < highest and
  /// confidence is in [0, 1].
  FromColumns(AnnotatorId id, ColumnOptions options);

  [[nodiscard]] AnnotatorId id() const override { return id_; }
  /// Throws ColumnError for a column that is missing, not a number, or beyond the scale.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  AnnotatorId id_;
  ColumnOptions options_;
};

/// Which columns hold ratings by aspect, and the category of each aspect.
struct RatingOptions {
  /// Each column holds an object: `{"honesty": 4, …}`, `{"honesty": "4", …}`, or UltraFeedback's
  /// `{"honesty": {"Rating": "4"}, …}`. Null and `"N/A"` are missing ratings.
  std::string chosen = "ratings_chosen";
  std::string rejected = "ratings_rejected";
  double lowest = 1;
  double highest = 5;
  Categories categories{};
  /// Category by aspect. Other aspects in the data are ignored.
  std::map<std::string, std::string, std::less<>> aspects = {
      {"helpfulness", "helpfulness"},
      {"honesty", "factuality"},
      {"instruction_following", "instruction"},
      {"truthfulness", "factuality"}};
};

/// Compares two responses by their ratings on several aspects. With
/// d_k = (chosen − rejected) / (highest − lowest) for each aspect k rated for both responses:
/// the sign of mean d is the verdict, |mean d| its magnitude, |Σ d| / Σ |d| its confidence (how far
/// the aspects agree; 1 if every d is 0), and the aspect of the largest |d| gives its category.
class FromRatings : public Annotator {
 public:
  /// Throws InvalidArgument unless lowest < highest and every category is in the list.
  FromRatings(AnnotatorId id, RatingOptions options = {});

  [[nodiscard]] AnnotatorId id() const override { return id_; }
  /// Returns a `missing` failure for a pair without an aspect rated for both responses. Throws
  /// ColumnError for a missing column and for a rating that is invalid or outside the scale.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  AnnotatorId id_;
  RatingOptions options_;
};

/// Replays existing annotations: those of `id`, in one order and with one sample number.
class Replay : public Annotator {
 public:
  /// Copies the annotations that match. Throws InvalidArgument for two of the same pair.
  Replay(AnnotatorId id, std::span<const Annotation> annotations, std::optional<Order> order = {},
         std::int32_t sample = 0);

  [[nodiscard]] AnnotatorId id() const override { return id_; }
  /// Returns a `missing` failure for a pair without a matching annotation.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  AnnotatorId id_;
  std::map<std::string, Annotation, std::less<>> by_pair_;
};

/// Passes every outcome to a function, one at a time, before returning it.
class Recording : public Annotator {
 public:
  using Sink = std::function<void(const PreferencePair&, const AnnotationOutcome&)>;

  /// Throws InvalidArgument for an empty function.
  Recording(const Annotator& inner, Sink sink);
  Recording(Annotator&&, Sink) = delete;

  [[nodiscard]] AnnotatorId id() const override { return inner_.id(); }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  const Annotator& inner_;
  Sink sink_;
  mutable std::mutex one_at_a_time_;
};

/// Retries failures that may_mend(), up to `attempts` attempts in total, and returns the last
/// outcome.
class Retrying : public Annotator {
 public:
  /// Throws InvalidArgument unless attempts >= 1.
  Retrying(const Annotator& inner, int attempts);
  Retrying(Annotator&&, int) = delete;

  [[nodiscard]] AnnotatorId id() const override { return inner_.id(); }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  const Annotator& inner_;
  int attempts_;
};

/// Exchanges the two responses before it asks, and exchanges the verdict and the recorded order
/// back. A blind judge without position bias gives the same verdict as without it; an informed one
/// is told that the wrong response won. The pair's columns stay as they are.
class Swapped : public Annotator {
 public:
  explicit Swapped(const Annotator& inner) : inner_(inner) {}
  explicit Swapped(Annotator&&) = delete;

  [[nodiscard]] AnnotatorId id() const override { return inner_.id(); }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  const Annotator& inner_;
};

}  // namespace sp2dpo::annotate
