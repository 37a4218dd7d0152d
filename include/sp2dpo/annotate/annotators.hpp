// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <sp2dpo/schedule/annotator.hpp>
#include <sp2dpo/schedule/category.hpp>

/// Annotators that ask nobody, and adaptors around others. An adaptor borrows the one inside.
namespace sp2dpo::annotate {

/// A column of the pair, taken for a verdict. What is null there is missing.
struct ColumnOptions {
  /// The magnitude is |chosen − rejected| / scale, and the sign says which answer is preferred.
  struct Scores {
    std::string chosen = "score_chosen";
    std::string rejected = "score_rejected";
  };
  /// The magnitude is |value| / scale, the chosen answer preferred: 0 is a tie.
  struct Strength {
    std::string column = "preference_strength";
  };

  std::variant<Scores, Strength> source = Scores{};
  double scale{};  ///< the largest difference or strength that the scale of the data allows
  Category category{};
  double confidence = 1;
};

/// Verdicts that the data has already: a baseline, and of no cost.
class FromColumns : public Annotator {
 public:
  /// Throws InvalidArgument for a scale that is not above 0 or a confidence outside [0, 1].
  FromColumns(AnnotatorId id, ColumnOptions options);

  [[nodiscard]] AnnotatorId id() const override { return id_; }
  /// Throws InvalidArgument, naming the pair, for a column that is not there, is no number, or is
  /// beyond the scale.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  AnnotatorId id_;
  ColumnOptions options_;
};

/// Which ratings are used, and which category each aspect stands for.
struct RatingOptions {
  /// Columns with an object each: `{"honesty": 4, …}`, `{"honesty": "4", …}`, or UltraFeedback's
  /// `{"honesty": {"Rating": "4"}, …}`.
  std::string chosen = "ratings_chosen";
  std::string rejected = "ratings_rejected";
  double lowest = 1;
  double highest = 5;
  Categories categories{};
  std::map<std::string, std::string, std::less<>> aspects = {
      {"helpfulness", "helpfulness"},
      {"honesty", "factuality"},
      {"instruction_following", "instruction"},
      {"truthfulness", "factuality"}};
};

/// Aspects rated for each answer on its own. With d_k = (chosen − rejected) / (highest − lowest)
/// over the aspects rated for both (`"N/A"` and null are not rated): the verdict is the sign of
/// their mean, its magnitude |mean d|, its confidence |Σ d| / Σ |d| (how far the aspects point the
/// same way; 1 where all are 0), its category that of the largest |d|. None rated is missing.
class FromRatings : public Annotator {
 public:
  /// Throws InvalidArgument for an empty scale or a category that is not in the list.
  FromRatings(AnnotatorId id, RatingOptions options = {});

  [[nodiscard]] AnnotatorId id() const override { return id_; }
  /// Throws InvalidArgument, naming the pair, for a column that is not there and a rating that is
  /// none or outside the scale.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  AnnotatorId id_;
  RatingOptions options_;
};

/// Answers from annotations that exist: those of `id`, in one order and for one sample.
class Replay : public Annotator {
 public:
  /// Copies what is its own. Throws InvalidArgument for two annotations of one pair.
  Replay(AnnotatorId id, std::span<const Annotation> annotations, std::optional<Order> order = {},
         std::int32_t sample = 0);

  [[nodiscard]] AnnotatorId id() const override { return id_; }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  AnnotatorId id_;
  std::map<std::string, Annotation, std::less<>> by_pair_;
};

/// Shows every outcome to a function of yours, one at a time, before it is returned.
class Recording : public Annotator {
 public:
  using Sink = std::function<void(const PreferencePair&, const AnnotationOutcome&)>;

  Recording(const Annotator& inner, Sink sink);
  Recording(Annotator&&, Sink) = delete;

  [[nodiscard]] AnnotatorId id() const override { return inner_.id(); }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  const Annotator& inner_;
  Sink sink_;
  mutable std::mutex one_at_a_time_;
};

/// Asks again, up to `attempts` times in all, as long as the failure is one that may mend. The last
/// outcome counts.
class Retrying : public Annotator {
 public:
  /// Throws InvalidArgument for fewer attempts than 1.
  Retrying(const Annotator& inner, int attempts);
  Retrying(Annotator&&, int) = delete;

  [[nodiscard]] AnnotatorId id() const override { return inner_.id(); }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  const Annotator& inner_;
  int attempts_;
};

/// Gives the annotator inside the two answers in exchanged roles, and exchanges what it prefers
/// (and the order it saw) back: one that judges the texts alone says the same. An informed one is
/// told that the wrong answer won. Columns of the pair stay as they are.
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
