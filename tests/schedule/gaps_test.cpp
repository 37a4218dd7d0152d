// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/schedule/aggregate.hpp>
#include <sp2dpo/schedule/map_gaps.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Gaps gaps_of(const std::vector<std::string>& ids, const std::vector<Annotation>& annotations) {
  return aggregate(test::table(ids, annotations), Jmamp{});
}

TEST(Aggregate, GivesEveryPairItsGapInTheOrderOfThePairs) {
  const auto gaps = gaps_of({"b", "lonely", "a"}, test::panel());
  ASSERT_EQ(gaps.size(), 3u);
  EXPECT_EQ(gaps.n_missing(), 1u);
  EXPECT_EQ(gaps.pairs()[0].id, "b");
  EXPECT_DOUBLE_EQ(gaps.pairs()[0].gap->value, 0.75);
  EXPECT_EQ(gaps.pairs()[1].id, "lonely");
  EXPECT_FALSE(gaps.pairs()[1].gap.has_value());
  EXPECT_EQ(gaps.pairs()[1].n_annotations, 0);
  EXPECT_EQ(gaps.pairs()[2].id, "a");
  EXPECT_DOUBLE_EQ(gaps.pairs()[2].gap->value, 0.5);
  EXPECT_EQ(gaps.pairs()[2].n_annotations, 3);
  EXPECT_EQ(gaps.pairs()[2].gap->n_annotations, 3);
  EXPECT_THAT(gap_values(gaps), ElementsAre(0.75, 0.5));
}

TEST(Aggregate, DoesNotDependOnTheOrderOfTheAnnotations) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> magnitude(0, 1);
  std::vector<std::string> ids;
  std::vector<Annotation> votes;
  for (int pair = 0; pair < 50; ++pair) {
    ids.push_back("p" + std::to_string(pair));
    for (int annotator = 0; annotator < 3; ++annotator)
      for (int prompt = 0; prompt < 3; ++prompt)
        for (int sample = 0; sample < 3; ++sample) {
          votes.push_back(test::vote(ids.back(), "m" + std::to_string(annotator),
                                     "q" + std::to_string(prompt), magnitude(random)));
          votes.back().sample = sample;
          votes.back().category = static_cast<Category>(random() % 6);
        }
  }
  const auto expected = gaps_of(ids, votes);
  std::shuffle(votes.begin(), votes.end(), random);
  const auto actual = gaps_of(ids, votes);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(actual.pairs()[i].gap->value, expected.pairs()[i].gap->value) << ids[i];
    EXPECT_EQ(actual.pairs()[i].gap->category, expected.pairs()[i].gap->category) << ids[i];
  }
}

TEST(Aggregate, HandsTheAggregatorEveryFieldOfAnAnnotationThatAGapIsMadeOf) {
  Annotation added = test::vote("a", "m1", "x", 0.4);
  added.category = Category{3};
  added.confidence = 0.25;
  added.preferred = Preferred::rejected;
  added.order = Order::rejected_first;
  added.sample = 7;
  int calls = 0;
  const auto check = [&](std::span<const Annotation> votes) -> std::optional<SemanticGap> {
    ++calls;
    EXPECT_EQ(votes.size(), 1u);
    EXPECT_EQ(votes[0].pair_id, "a");
    EXPECT_EQ(votes[0].annotator, "m1");
    EXPECT_EQ(votes[0].prompt, "x");
    EXPECT_EQ(votes[0].category, Category{3});
    EXPECT_EQ(votes[0].magnitude, 0.4);
    EXPECT_EQ(votes[0].confidence, 0.25);
    EXPECT_EQ(votes[0].preferred, Preferred::rejected);
    EXPECT_EQ(votes[0].order, Order::rejected_first);
    EXPECT_EQ(votes[0].sample, 7);
    return SemanticGap{.value = signed_gap(votes[0])};
  };
  const auto schedule = map_gaps(aggregate(test::table({"a"}, {added}), check), Linear{});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(schedule.entries()[0].clipped, Clip::low);
  EXPECT_EQ(schedule.entries()[0].beta, 0.03);
}

TEST(MapGaps, GivesEveryPairItsBetaInTheOrderOfThePairs) {
  const auto schedule = map_gaps(gaps_of({"b", "a"}, test::panel()), Linear{});
  ASSERT_EQ(schedule.size(), 2u);
  EXPECT_EQ(schedule.entries()[0].id, "b");
  EXPECT_DOUBLE_EQ(schedule.entries()[0].gap->value, 0.75);
  EXPECT_DOUBLE_EQ(schedule.entries()[0].beta, 0.03 + 0.27 * 0.75);
  EXPECT_EQ(schedule.entries()[1].id, "a");
  EXPECT_DOUBLE_EQ(schedule.entries()[1].beta, 0.165);
  EXPECT_EQ(map_gaps(Gaps(), Linear{}).size(), 0u);
}

TEST(MapGaps, RecordsClipsAndTakesAMapperThatDoesNotClip) {
  Gaps gaps;
  for (const double value : {0.0, 0.5, 2.0})
    gaps.add({.id = std::to_string(value), .gap = SemanticGap{.value = value}});
  const auto clipped = map_gaps(gaps, Linear({0.1, 0.3}, {0.5, 2}));
  EXPECT_EQ(clipped.entries()[0].clipped, Clip::low);
  EXPECT_EQ(clipped.entries()[0].beta, 0.1);
  EXPECT_EQ(clipped.entries()[2].clipped, Clip::none);
  EXPECT_EQ(clipped.entries()[2].beta, 0.3);
  const auto plain = map_gaps(gaps, [](const SemanticGap& gap) { return 0.1 + gap.value; });
  EXPECT_DOUBLE_EQ(plain.entries()[2].beta, 2.1);
  EXPECT_EQ(plain.entries()[2].clipped, Clip::none);
}

TEST(MapGaps, NamesThePairWhoseBetaIsNotPositive) {
  const auto gaps = gaps_of({"a", "b"}, test::panel());
  EXPECT_THAT([&] { (void)map_gaps(gaps, [](const SemanticGap& gap) { return 0.5 - gap.value; }); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair a")));
}

TEST(MapGaps, StopsAtAPairWithoutAGapUnlessMissingSaysOtherwise) {
  const auto build = [](const Jmamp& aggregator, Missing missing) {
    return map_gaps(aggregate(test::table({"a", "lonely", "b"}, test::panel()), aggregator),
                    Linear{}, missing);
  };
  EXPECT_THAT(
      [&] { (void)build({}, {}); },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair lonely"), HasSubstr("0 annotations"))));

  const auto dropped = build({}, {Missing::Policy::drop});
  EXPECT_EQ(dropped.size(), 2u);
  EXPECT_EQ(dropped.find("lonely"), nullptr);

  const auto filled = build({}, {Missing::Policy::base_beta, 0.1});
  ASSERT_EQ(filled.size(), 3u);
  EXPECT_EQ(filled.entries()[1].beta, 0.1);
  EXPECT_FALSE(filled.entries()[1].gap.has_value()) << "the missing gap marks a filled beta";
  EXPECT_TRUE(filled.entries()[0].gap.has_value());

  EXPECT_THAT(([&] {
                (void)build({}, {Missing::Policy::base_beta, 0.0});
              }),
              ThrowsMessage<InvalidArgument>(HasSubstr("pair lonely")));
  EXPECT_THAT(([&] { (void)build({.min_prompts = 2}, {}); }),
              ThrowsMessage<InvalidArgument>(HasSubstr("pair lonely")));
  EXPECT_EQ(build({.min_prompts = 2}, {Missing::Policy::drop}).size(), 1u)
      << "b has too few prompts";
}

}  // namespace
}  // namespace sp2dpo
