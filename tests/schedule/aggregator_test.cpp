// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using AnyAggregator = std::function<std::optional<SemanticGap>(std::span<const Annotation>)>;

static_assert(Aggregator<AnyAggregator>);
static_assert(Aggregator<PromptsThenAnnotators<Mean, Mean>>);
static_assert(!Aggregator<double (*)(std::span<const Annotation>)>, "a number is no gap");
static_assert(!Aggregator<std::optional<SemanticGap> (*)(std::span<Annotation>)>,
              "the votes are not the aggregator's to change");

TEST(Aggregator, CanBeChosenAtRunTime) {
  const std::vector<Annotation> votes{
      {.annotator = "a", .prompt = "x", .magnitude = 0.2, .confidence = 1},
      {.annotator = "a", .prompt = "y", .magnitude = 0.2, .confidence = 1},
      {.annotator = "a", .prompt = "z", .magnitude = 0.8, .confidence = 1}};
  AnyAggregator aggregate = Jmamp{};
  EXPECT_DOUBLE_EQ(aggregate(votes)->value, 0.2);
  aggregate = PromptsThenAnnotators<Mean, Mean>{};
  EXPECT_DOUBLE_EQ(aggregate(votes)->value, 0.4);
}

/// Returns an annotation whose signed gap is `gap`.
Annotation vote(std::string annotator, std::string prompt, double gap, int category = 0) {
  return {.annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .category = static_cast<Category>(category),
          .magnitude = std::abs(gap),
          .confidence = 1,
          .preferred = gap < 0 ? Preferred::rejected : Preferred::chosen};
}

/// Returns one to four annotators with one to five prompts each and gaps in [low, high].
std::vector<Annotation> random_panel(std::mt19937_64& random, double low = 0, double high = 1) {
  std::uniform_real_distribution<double> gap(low, high);
  std::vector<Annotation> votes;
  const int annotators = std::uniform_int_distribution(1, 4)(random);
  for (int a = 0; a < annotators; ++a) {
    const int prompts = std::uniform_int_distribution(1, 5)(random);
    for (int k = 0; k < prompts; ++k)
      votes.push_back(vote("a" + std::to_string(a), "p" + std::to_string(k), gap(random)));
  }
  return votes;
}

/// A second implementation of the formula, by sorting.
double median_then_mean(const std::vector<Annotation>& votes) {
  std::map<std::string, std::vector<double>> by_annotator;
  for (const auto& v : votes) by_annotator[v.annotator].push_back(signed_gap(v));
  double sum = 0;
  for (auto& [name, gaps] : by_annotator) {
    std::sort(gaps.begin(), gaps.end());
    sum += (gaps[(gaps.size() - 1) / 2] + gaps[gaps.size() / 2]) / 2;
  }
  return sum / static_cast<double>(by_annotator.size());
}

TEST(Median, IsTheMiddleValueOrTheMeanOfTheTwoMiddleOnes) {
  const auto median = [](std::vector<double> values) { return Median{}(values); };
  EXPECT_EQ(median({0.3}), 0.3);
  EXPECT_EQ(median({0.9, 0.1, 0.2}), 0.2);
  EXPECT_EQ(median({0.75, 0.0, 0.25, 1.0}), 0.5);
  EXPECT_EQ(median({1, 1, 0, 0, 0}), 0);
  EXPECT_THROW(median({}), InvalidArgument);
  EXPECT_THROW((void)Mean{}({}), InvalidArgument);
}

TEST(Jmamp, TakesTheMedianOverPromptsThenTheMeanOverAnnotators) {
  const std::vector<Annotation> votes{vote("a", "x", 0.9), vote("a", "y", 0.1), vote("a", "z", 0.2),
                                      vote("b", "x", 0.6), vote("b", "y", 0.8)};
  const auto gap = Jmamp{}(votes);
  ASSERT_TRUE(gap);
  EXPECT_DOUBLE_EQ(gap->value, (0.2 + 0.7) / 2);
  EXPECT_EQ(gap->n_annotators, 2);
  EXPECT_EQ(gap->n_annotations, 5);
  EXPECT_DOUBLE_EQ(gap->spread, 0.5);
}

TEST(Jmamp, AgreesWithASecondImplementationOnRandomPanels) {
  std::mt19937_64 random(1);
  for (int trial = 0; trial < 20000; ++trial) {
    const auto votes = random_panel(random, -1, 1);
    ASSERT_NEAR(Jmamp{}(votes)->value, median_then_mean(votes), 1e-15) << "trial " << trial;
  }
}

TEST(Jmamp, IsBitIdenticalForAnyOrderOfTheAnnotations) {
  std::mt19937_64 random(2);
  for (int trial = 0; trial < 2000; ++trial) {
    auto votes = random_panel(random);
    for (std::size_t i = votes.size(); i-- > 0;) {  // repeated questions, whose mean is a sum
      votes.push_back(votes[i]);
      votes.back().sample = 1;
      votes.back().magnitude *= 0.7;
      votes.push_back(votes[i]);
      votes.back().sample = 2;
      votes.back().magnitude *= 0.3;
    }
    const auto before = Jmamp{}(votes);
    std::shuffle(votes.begin(), votes.end(), random);
    const auto after = Jmamp{}(votes);
    ASSERT_EQ(before->value, after->value) << "trial " << trial;
    ASSERT_EQ(before->spread, after->spread) << "trial " << trial;
  }
}

TEST(Jmamp, CommutesWithIncreasingAffineMaps) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> part(0.05, 0.5);
  for (int trial = 0; trial < 20000; ++trial) {
    auto votes = random_panel(random);
    const double scale = part(random);
    const double offset = part(random);
    const double mapped_after = scale * Jmamp{}(votes)->value + offset;
    for (auto& v : votes) v.magnitude = scale * v.magnitude + offset;
    ASSERT_NEAR(Jmamp{}(votes)->value, mapped_after, 2.3e-16) << "trial " << trial;
  }
}

TEST(Jmamp, DoesNotCommuteWithClippingSoItComesFirst) {
  const std::vector<Annotation> votes{vote("a", "x", -0.2), vote("b", "x", 1.0)};
  EXPECT_DOUBLE_EQ(Jmamp{}(votes)->value, 0.4);
  EXPECT_DOUBLE_EQ(Linear()(*Jmamp{}(votes)), 0.03 + 0.27 * 0.4);
  EXPECT_NE(Linear()(*Jmamp{}(votes)), (0.03 + 0.3) / 2);  // clipped first: 0 and 1
}

TEST(Jmamp, IgnoresMissingAnswersInsteadOfCountingThemAsZero) {
  const std::vector<Annotation> full{vote("a", "x", 0.8), vote("a", "y", 0.8), vote("b", "x", 0.4)};
  EXPECT_DOUBLE_EQ(Jmamp{}(full)->value, 0.6);
  EXPECT_DOUBLE_EQ(Jmamp{}(std::span(full).first(2))->value, 0.8);
  EXPECT_EQ(Jmamp{}(std::span(full).first(2))->n_annotators, 1);
}

TEST(Jmamp, GivesNoGapBelowItsMinimumCounts) {
  const std::vector<Annotation> votes{vote("a", "x", 0.8), vote("a", "y", 0.6),
                                      vote("b", "x", 0.1, 3)};
  EXPECT_TRUE((Jmamp{.min_annotators = 2}(votes)));
  EXPECT_FALSE((Jmamp{.min_annotators = 3}(votes)));
  EXPECT_FALSE((Jmamp{.min_annotators = 2, .min_prompts = 2}(votes)));
  EXPECT_FALSE((Jmamp{.min_prompts = 3}(votes)));

  // An annotator with too few prompts does not count for the gap, the counts, the spread or the
  // category.
  const auto gap = Jmamp{.min_prompts = 2}(votes);
  ASSERT_TRUE(gap);
  EXPECT_DOUBLE_EQ(gap->value, 0.7);
  EXPECT_EQ(gap->n_annotators, 1);
  EXPECT_EQ(gap->n_annotations, 2);
  EXPECT_EQ(gap->spread, 0);
  EXPECT_EQ(gap->category, Category{0});
}

TEST(Jmamp, AveragesOrdersAndSamplesBeforeTheMedian) {
  std::vector<Annotation> votes{vote("a", "x", 0.0), vote("a", "x", 0.6), vote("a", "x", 0.9),
                                vote("a", "y", 0.1), vote("a", "z", 0.2)};
  votes[0].order = Order::chosen_first;
  votes[1].order = Order::rejected_first;
  votes[2].order = Order::rejected_first;
  votes[2].sample = 1;
  const auto gap = Jmamp{}(votes);
  EXPECT_DOUBLE_EQ(gap->value,
                   0.2);      // of 0.5, 0.1, 0.2; the median of all five is 0.2 only by chance,
  votes[0].magnitude = 0.15;  // so raise one: 0.55, 0.1, 0.2 against 0.1 0.15 0.2 0.6 0.9
  votes[4].magnitude = 0.5;
  EXPECT_DOUBLE_EQ(Jmamp{}(votes)->value, 0.5);
  EXPECT_EQ(gap->n_annotations, 5);
  EXPECT_EQ((Jmamp{.min_prompts = 4}(votes)), std::nullopt)
      << "a repeat does not count as another prompt";
}

TEST(Jmamp, KeepsTheSignIfThePanelPrefersTheRejectedResponse) {
  const std::vector<Annotation> votes{vote("a", "x", -0.5), vote("b", "x", 0.1)};
  EXPECT_DOUBLE_EQ(Jmamp{}(votes)->value, -0.2);
}

TEST(Jmamp, TakesTheCategoryOfTheMajorityAndBreaksTiesByPriority) {
  const std::vector<Annotation> votes{vote("a", "x", 1, 4), vote("a", "y", 1, 4),
                                      vote("b", "x", 1, 1), vote("b", "y", 1, 2),
                                      vote("c", "x", 1, 2)};
  EXPECT_EQ(Jmamp{}(votes)->category, Category{2}) << "2 and 4 have two votes each; 2 has priority";
  EXPECT_EQ(Jmamp{}(std::span(votes).first(4))->category, Category{4});
  EXPECT_EQ(Jmamp{}(std::span(votes).subspan(2, 2))->category, Category{1});
}

TEST(Jmamp, WeighsGapsByTheirCategory) {
  const Jmamp weighted{.category_weights = {1.0, 0.5}};
  EXPECT_DOUBLE_EQ(weighted(std::vector{vote("a", "x", 0.8, 1)})->value, 0.4);
  EXPECT_DOUBLE_EQ(weighted(std::vector{vote("a", "x", 0.8, 0)})->value, 0.8);
  EXPECT_THAT([&] { (void)weighted(std::vector{vote("a", "x", 0.8, 2)}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("category number 2 has no weight")));
}

}  // namespace
}  // namespace sp2dpo
