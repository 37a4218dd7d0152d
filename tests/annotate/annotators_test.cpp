// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/annotate/annotate_all.hpp>
#include <sp2dpo/annotate/annotators.hpp>

namespace sp2dpo::annotate {
namespace {

using Kind = AnnotationFailure::Kind;
using testing::HasSubstr;

const AnnotatorId id{"data", "columns"};

PreferencePair pair_with(std::map<std::string, std::string, std::less<>> columns) {
  return {.id = "p1", .prompt = "q", .chosen = "a", .rejected = "b", .columns = std::move(columns)};
}

std::string refusal_of(const Annotator& annotator, const PreferencePair& pair) {
  try {
    static_cast<void>(annotator.annotate(pair));
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

Annotation verdict_of(const Annotator& annotator, const PreferencePair& pair) {
  return std::get<Annotation>(annotator.annotate(pair));
}

TEST(FromColumns, TheMagnitudeIsTheDifferenceOverTheScale) {
  const FromColumns annotator(id, {.scale = 10, .category = Categories().at("helpfulness")});
  const auto scored = [&](const char* chosen, const char* rejected) {
    return verdict_of(annotator,
                      pair_with({{"score_chosen", chosen}, {"score_rejected", rejected}}));
  };
  EXPECT_EQ(scored("8.5", "6").magnitude, 0.25);
  EXPECT_EQ(scored("8.5", "6").preferred, Preferred::chosen);
  EXPECT_EQ(scored("6", "8.5").magnitude, 0.25);
  EXPECT_EQ(scored("6", "8.5").preferred, Preferred::rejected);
  EXPECT_EQ(scored("6", "6.0").preferred, Preferred::tie);
  EXPECT_EQ(scored("10", "0").magnitude, 1);
  const Annotation one = scored("8.5", "6");
  EXPECT_EQ(one.pair_id, "p1");
  EXPECT_EQ(one.annotator, "data");
  EXPECT_EQ(one.prompt, "columns");
  EXPECT_EQ(one.confidence, 1);
  EXPECT_EQ(one.category, Categories().at("helpfulness"));
}

TEST(FromColumns, ADifferenceUpToMaxTieIsATie) {
  const FromColumns annotator(id, {.scale = 9, .max_tie = 0.5});
  const auto scored = [&](const char* chosen) {
    return verdict_of(annotator, pair_with({{"score_chosen", chosen}, {"score_rejected", "5"}}));
  };
  EXPECT_EQ(scored("5.5").preferred, Preferred::tie);
  EXPECT_EQ(scored("4.5").magnitude, 0);
  EXPECT_EQ(scored("5.75").preferred, Preferred::chosen);
  EXPECT_EQ(scored("5.75").magnitude, 0.75 / 9);
  EXPECT_THROW(FromColumns(id, {.scale = 1, .max_tie = 1}), InvalidArgument);
}

TEST(FromColumns, NamesAScoreOutsideItsRange) {
  const FromColumns annotator(
      id, {.source = ColumnOptions::Scores{.lowest = 1, .highest = 10}, .scale = 9});
  EXPECT_EQ(refusal_of(annotator, pair_with({{"score_chosen", "5"}, {"score_rejected", "0"}})),
            "pair p1: column \"score_rejected\": expected a score in [1, 10], got 0");
}

TEST(FromColumns, AStrengthOfEitherSignPrefersTheChosenResponse) {
  const FromColumns annotator(id, {.source = ColumnOptions::Strength{}, .scale = 3});
  for (const char* const value : {"-3", "3"}) {
    const auto read = verdict_of(annotator, pair_with({{"preference_strength", value}}));
    EXPECT_EQ(read.magnitude, 1);
    EXPECT_EQ(read.preferred, Preferred::chosen);
  }
}

TEST(FromColumns, RefusesInvalidScoresAndTreatsNullAsMissing) {
  const FromColumns annotator(id, {.scale = 4});
  const auto scored = [](const char* chosen) {
    return pair_with({{"score_chosen", chosen}, {"score_rejected", "1"}});
  };
  EXPECT_EQ(refusal_of(annotator, scored("5.5")),
            "pair p1: column \"score_chosen - score_rejected\": 4.5 is beyond the scale of 4");
  EXPECT_EQ(refusal_of(annotator, scored("\"3\"")),
            "pair p1: column \"score_chosen\": expected a number, got \"3\"");
  EXPECT_EQ(refusal_of(annotator, pair_with({})), "pair p1: column \"score_chosen\": is missing");
  EXPECT_EQ(std::get<AnnotationFailure>(annotator.annotate(scored("null"))).kind, Kind::missing);
  EXPECT_THROW(FromColumns(id, {}), InvalidArgument);
  EXPECT_THROW(FromColumns(id, {.scale = 1, .confidence = 1.5}), InvalidArgument);
}

TEST(FromRatings, FollowsItsFormula) {
  const FromRatings annotator(id);
  // d: honesty 2/4, truthfulness -1/4, helpfulness 1/4. The fourth aspect is not rated for both.
  const auto read = verdict_of(
      annotator,
      pair_with(
          {{"ratings_chosen",
            R"({"honesty":{"Rating":"5","Rationale":"r"},"truthfulness":{"Rating":"2"},)"
            R"("helpfulness":4,"instruction_following":{"Rating":"N/A"},"else":9})"},
           {"ratings_rejected",
            R"({"honesty":"3","truthfulness":3,"helpfulness":"3","instruction_following":2})"}}));
  EXPECT_DOUBLE_EQ(read.magnitude, 0.5 / 3);
  EXPECT_DOUBLE_EQ(read.confidence, 0.5);
  EXPECT_EQ(read.preferred, Preferred::chosen);
  EXPECT_EQ(Categories().name(read.category), "factuality");
}

TEST(FromRatings, EqualRatingsAreATieOfTheHighestCategory) {
  const char* const ratings = R"({"helpfulness":3,"instruction_following":4})";
  const auto read = verdict_of(
      FromRatings(id), pair_with({{"ratings_chosen", ratings}, {"ratings_rejected", ratings}}));
  EXPECT_EQ(read.preferred, Preferred::tie);
  EXPECT_EQ(read.magnitude, 0);
  EXPECT_EQ(read.confidence, 1);
  EXPECT_EQ(Categories().name(read.category), "instruction");
}

TEST(FromRatings, NamesARatingOutsideItsScale) {
  const auto refusal = [](const char* rating) {
    return refusal_of(FromRatings(id),
                      pair_with({{"ratings_chosen", fmt::format(R"({{"honesty":{}}})", rating)},
                                 {"ratings_rejected", R"({"honesty":3})"}}));
  };
  EXPECT_EQ(refusal("10"),
            "pair p1: column \"ratings_chosen.honesty\": expected a rating in [1, 5], got 10");
  EXPECT_EQ(refusal("\"four\""),
            "pair p1: column \"ratings_chosen.honesty\": expected a rating, got \"four\"");
  EXPECT_THAT(refusal("true"), HasSubstr("expected a rating, got true"));
  const auto none = FromRatings(id).annotate(
      pair_with({{"ratings_chosen", "{}"}, {"ratings_rejected", R"({"honesty":3})"}}));
  EXPECT_EQ(std::get<AnnotationFailure>(none).kind, Kind::missing);
}

TEST(AnnotateAll, HandsOverEveryOutcomePairByPair) {
  const Annotation known{.pair_id = "p1", .annotator = "data", .prompt = "columns"};
  const std::array replayed = {known};
  const Replay one(id, replayed), other({"data", "other"}, {});
  const std::array<const Annotator*, 2> annotators = {&one, &other};
  auto second = pair_with({});
  second.id = "p2";
  const std::array pairs = {pair_with({}), second};
  std::vector<std::string> seen;
  const auto counts = annotate_all(
      annotators, pairs,
      [&](const PreferencePair& pair, const AnnotatorId& from, const AnnotationOutcome& outcome) {
        seen.push_back(pair.id + " " + from.prompt + " " +
                       (std::holds_alternative<Annotation>(outcome) ? "yes" : "no"));
      });
  EXPECT_THAT(
      seen, testing::ElementsAre("p1 columns yes", "p1 other no", "p2 columns no", "p2 other no"));
  EXPECT_EQ(counts.pairs, 2);
  EXPECT_EQ(counts.annotations, 1);
  EXPECT_EQ(counts.failures, 3);
}

TEST(AnnotateAll, ARefusedPairLeavesNoAnnotationOfAnyAnnotator) {
  const FromColumns strength({"a", "x"}, {.source = ColumnOptions::Strength{}, .scale = 3});
  const FromColumns scores({"b", "x"}, {.scale = 9});
  const std::array<const Annotator*, 2> annotators = {&strength, &scores};
  const std::array pairs = {pair_with({{"preference_strength", "1"}})};
  int outcomes = 0;
  EXPECT_THROW(annotate_all(annotators, pairs,
                            [&](const PreferencePair&, const AnnotatorId&,
                                const AnnotationOutcome&) { ++outcomes; }),
               ColumnError);
  EXPECT_EQ(outcomes, 0);
}

TEST(Replay, ReturnsOnlyMatchingAnnotations) {
  const Annotation own{.pair_id = "p1", .annotator = "data", .prompt = "columns", .magnitude = 0.5};
  Annotation stranger = own, later = own, elsewhere = own;
  stranger.annotator = "other";
  later.sample = 1;
  elsewhere.pair_id = "p2";
  const std::array all = {stranger, later, own, elsewhere};
  EXPECT_EQ(verdict_of(Replay(id, all), pair_with({})).magnitude, 0.5);
  EXPECT_EQ(verdict_of(Replay(id, all, {}, 1), pair_with({})).sample, 1);
  const Replay in_order(id, all, Order::chosen_first);
  EXPECT_EQ(std::get<AnnotationFailure>(in_order.annotate(pair_with({}))).kind, Kind::missing);
  const std::array twice = {own, own};
  EXPECT_THROW(Replay(id, twice), InvalidArgument);
}

/// Fails in the given ways, one after another, then returns an annotation.
class Failing : public Annotator {
 public:
  explicit Failing(std::vector<Kind> kinds) : kinds_(std::move(kinds)) {}
  [[nodiscard]] AnnotatorId id() const override { return {"failing", "p"}; }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override {
    const auto turn = calls++;
    if (turn < kinds_.size()) return AnnotationFailure{kinds_[turn], "no"};
    return Annotation{.pair_id = pair.id};
  }
  mutable std::size_t calls = 0;

 private:
  std::vector<Kind> kinds_;
};

TEST(Retrying, RetriesOnlyFailuresThatMayMend) {
  const auto calls = [](std::vector<Kind> kinds, int attempts, bool answered) {
    const Failing inner(std::move(kinds));
    const auto outcome = Retrying(inner, attempts).annotate(pair_with({}));
    EXPECT_EQ(std::holds_alternative<Annotation>(outcome), answered);
    return inner.calls;
  };
  EXPECT_EQ(calls({}, 3, true), 1);
  EXPECT_EQ(calls({Kind::transport, Kind::invalid}, 3, true), 3);
  EXPECT_EQ(calls({Kind::transport, Kind::invalid}, 2, false), 2);
  EXPECT_EQ(calls({Kind::refused}, 3, false), 1);
  EXPECT_EQ(calls({Kind::empty, Kind::truncated}, 5, false), 2);
  const Failing inner({});
  EXPECT_EQ(Retrying(inner, 1).id(), inner.id());
  EXPECT_THROW(Retrying(inner, 0), InvalidArgument);
}

TEST(Recording, PassesEveryOutcomeOneAtATime) {
  struct Counted : Annotator {
    [[nodiscard]] AnnotatorId id() const override { return {"c", "p"}; }
    [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override {
      return Annotation{.pair_id = pair.id};
    }
  } const annotator;
  std::vector<std::string> seen;  // unguarded: Recording must serialise the calls
  const Recording recording(annotator,
                            [&](const PreferencePair& pair, const AnnotationOutcome& outcome) {
                              seen.push_back(pair.id + std::get<Annotation>(outcome).pair_id);
                            });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) static_cast<void>(recording.annotate(pair_with({})));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen, std::vector<std::string>(2000, "p1p1"));
  EXPECT_THROW(Recording(annotator, {}), InvalidArgument);
}

/// Prefers the longer text and records that the chosen response was shown first.
struct Longer : Annotator {
  [[nodiscard]] AnnotatorId id() const override { return {"longer", "p"}; }
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override {
    const auto chosen = std::get<std::string>(pair.chosen).size();
    const auto rejected = std::get<std::string>(pair.rejected).size();
    return Annotation{.pair_id = pair.id,
                      .preferred = chosen > rejected   ? Preferred::chosen
                                   : chosen < rejected ? Preferred::rejected
                                                       : Preferred::tie,
                      .order = Order::chosen_first};
  }
};

TEST(Swapped, KeepsTheVerdictOfAnUnbiasedJudgeAndReversesTheOrder) {
  const Longer inner;
  const Swapped swapped(inner);
  for (const char* const rejected : {"", "ab", "abcd"}) {
    PreferencePair pair = pair_with({});
    pair.chosen = "xy";
    pair.rejected = rejected;
    EXPECT_EQ(verdict_of(swapped, pair).preferred, verdict_of(inner, pair).preferred) << rejected;
    EXPECT_EQ(verdict_of(swapped, pair).order, Order::rejected_first);
  }
  const Failing failing({Kind::refused});
  EXPECT_EQ(std::get<AnnotationFailure>(Swapped(failing).annotate(pair_with({}))).kind,
            Kind::refused);
}

TEST(Adaptors, DoNotTakeTemporaries) {
  EXPECT_FALSE((std::is_constructible_v<Retrying, Longer, int>));
  EXPECT_FALSE((std::is_constructible_v<Swapped, Longer>));
  EXPECT_FALSE((std::is_constructible_v<Recording, Longer, Recording::Sink>));
  EXPECT_TRUE((std::is_constructible_v<Retrying, const Longer&, int>));
  EXPECT_TRUE((std::is_constructible_v<Swapped, const Longer&>));
  EXPECT_TRUE((std::is_constructible_v<Recording, const Longer&, Recording::Sink>));
}

}  // namespace
}  // namespace sp2dpo::annotate
