// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/aggregators.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Returns an annotation whose signed gap is `gap`.
Annotation vote(std::string annotator, std::string prompt, double gap,
                std::optional<Order> order = std::nullopt) {
  return {.annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .magnitude = std::abs(gap),
          .confidence = 1,
          .preferred = gap < 0 ? Preferred::rejected : Preferred::chosen,
          .order = order};
}

/// Every aggregator gives another gap for this panel: annotator a has 0, 0.1 and 0.8, b has 0.6 and
/// 1, c has 0.9.
std::vector<Annotation> panel() {
  return {vote("a", "x", 0.1), vote("a", "y", 0.8), vote("a", "z", 0.0),
          vote("b", "x", 0.6), vote("b", "y", 1.0), vote("c", "x", 0.9)};
}

TEST(Aggregators, UseTheirOwnTwoSteps) {
  EXPECT_DOUBLE_EQ(Jmamp{}(panel())->value, (0.1 + 0.8 + 0.9) / 3);
  EXPECT_DOUBLE_EQ(MeanMean{}(panel())->value, (0.3 + 0.8 + 0.9) / 3);
  EXPECT_DOUBLE_EQ(MedianMedian{}(panel())->value, 0.8);
  EXPECT_DOUBLE_EQ(MeanMedian{}(panel())->value, 0.8);
  auto two = panel();
  two.pop_back();
  EXPECT_DOUBLE_EQ(MeanMedian{}(two)->value, (0.3 + 0.8) / 2);
  EXPECT_DOUBLE_EQ(PooledMedian{}(panel())->value, (0.6 + 0.8) / 2);
  EXPECT_DOUBLE_EQ(PooledTrimmedMean{}(panel())->value, (0.1 + 0.6 + 0.8 + 0.9) / 4);
}

TEST(Aggregators, AgreeIfEveryAnnotatorAnsweredOnePrompt) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> gap(-1, 1);
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<Annotation> votes;
    for (int a = 0; a < 1 + trial % 6; ++a)
      votes.push_back(vote(std::to_string(a), "x", gap(random)));
    ASSERT_DOUBLE_EQ(MeanMean{}(votes)->value, Jmamp{}(votes)->value);
    ASSERT_DOUBLE_EQ(MedianMedian{}(votes)->value, PooledMedian{}(votes)->value);
    ASSERT_DOUBLE_EQ(MeanMedian{}(votes)->value, PooledMedian{}(votes)->value);
    ASSERT_NEAR((PooledTrimmedMean{.statistic = {.share = 0}}(votes)->value),
                MeanMean{}(votes)->value, 1e-15);
  }
}

TEST(Pooled, CountsAnnotatorsAndPromptsLikeJmamp) {
  const auto gap = PooledMedian{.min_prompts = 2}(panel());
  ASSERT_TRUE(gap);
  EXPECT_DOUBLE_EQ(gap->value, 0.6) << "c has one prompt only and does not count";
  EXPECT_EQ(gap->n_annotators, 2);
  EXPECT_EQ(gap->n_annotations, 5);
  EXPECT_DOUBLE_EQ(gap->spread, 0.7);
  EXPECT_FALSE((PooledMedian{.min_annotators = 4}(panel())));
  EXPECT_DOUBLE_EQ((PooledMedian{.category_weights = {0.5}}(panel())->value), 0.35);
}

TEST(TrimmedMean, TrimsEquallyAtBothEnds) {
  const auto trimmed = [](double share, std::vector<double> values) {
    return TrimmedMean{share}(values);
  };
  EXPECT_DOUBLE_EQ(trimmed(0.2, {9, 1, -7, 2, 3}), 2);
  EXPECT_DOUBLE_EQ(trimmed(0.19, {9, 1, -7, 2, 3}), 1.6) << "0.95 values round down to 0";
  EXPECT_DOUBLE_EQ(trimmed(0.4, {9, 1, -7, 2, 3}), 2) << "only the median is left";
  EXPECT_DOUBLE_EQ(trimmed(0.49, {4}), 4);
  for (const double bad : {-0.1, 0.5, std::nan("")})
    EXPECT_THAT(
        [&] {
          (void)trimmed(bad, {1, 2});
        },
        ThrowsMessage<InvalidArgument>(HasSubstr("[0, 0.5)")));
  EXPECT_THROW((void)trimmed(0.2, {}), InvalidArgument);
}

TEST(Single, PassesOnTheAnnotationsOfOneAnnotatorOrPrompt) {
  EXPECT_DOUBLE_EQ((Single<Jmamp>{.annotator = "a"}(panel())->value), 0.1);
  EXPECT_DOUBLE_EQ((Single<MeanMean>{.annotator = "a"}(panel())->value), 0.3);
  EXPECT_DOUBLE_EQ((Single<Jmamp>{.prompt = "y"}(panel())->value), 0.9);
  const auto one = Single<Jmamp>{.annotator = "b", .prompt = "y"}(panel());
  EXPECT_DOUBLE_EQ(one->value, 1);
  EXPECT_EQ(one->n_annotations, 1);
  EXPECT_FALSE((Single<Jmamp>{.annotator = "c", .prompt = "y"}(panel())));
}

TEST(OrderConsensus, TurnsVerdictsThatDependOnTheOrderIntoTies) {
  using enum Order;
  const std::vector<Annotation> votes{vote("a", "x", 0.6, chosen_first),
                                      vote("a", "x", 0.8, rejected_first),  // agree: 0.7
                                      vote("a", "y", 1.0, chosen_first),
                                      vote("a", "y", -0.2, rejected_first),  // turn
                                      vote("a", "z", 0.9, chosen_first),     // one order only
                                      vote("a", "w", 0.9)};                  // none on record
  using Consensus = OrderConsensus<MeanMean>;
  const auto ties = Consensus{}(votes);
  ASSERT_TRUE(ties);
  EXPECT_DOUBLE_EQ(ties->value, (0.7 + 0) / 2);
  EXPECT_EQ(ties->n_annotations, 4);
  const auto dropped = Consensus{.otherwise = Consensus::Otherwise::drop}(votes);
  ASSERT_TRUE(dropped);
  EXPECT_DOUBLE_EQ(dropped->value, 0.7);
  EXPECT_EQ(dropped->n_annotations, 2);
  EXPECT_FALSE((Consensus{}(std::span(votes).subspan(4))));
}

TEST(OrderConsensus, KeepsTiesAndRejectionsThatAgreeInBothOrders) {
  using enum Order;
  const std::vector<Annotation> against{vote("a", "x", -0.5, chosen_first),
                                        vote("a", "x", -0.7, rejected_first)};
  EXPECT_DOUBLE_EQ((OrderConsensus<Jmamp>{}(against)->value), -0.6);
  const std::vector<Annotation> tie{vote("a", "x", 0, chosen_first),
                                    vote("a", "x", 0, rejected_first)};
  using Consensus = OrderConsensus<Jmamp>;
  EXPECT_EQ((Consensus{.otherwise = Consensus::Otherwise::drop}(tie)->value), 0);
}

TEST(OrderConsensus, AveragesSamplesBeforeComparingTheOrders) {
  using enum Order;
  std::vector<Annotation> votes{vote("a", "x", 0.9, chosen_first),
                                vote("a", "x", -0.1, chosen_first),
                                vote("a", "x", 0.4, rejected_first)};
  votes[1].sample = 1;
  EXPECT_DOUBLE_EQ((OrderConsensus<Jmamp>{}(votes)->value), 0.4);
}

TEST(Aggregators, AreBitIdenticalForAnyOrderOfTheAnnotations) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> gap(-1, 1);
  for (int trial = 0; trial < 500; ++trial) {
    std::vector<Annotation> votes;
    for (const auto* annotator : {"a", "b", "c"})
      for (const auto* prompt : {"x", "y", "z"})
        for (const auto order : {Order::chosen_first, Order::rejected_first})
          for (int sample = 0; sample < 2; ++sample) {
            votes.push_back(vote(annotator, prompt, gap(random), order));
            votes.back().sample = sample;
          }
    const auto all = [&] {
      return std::vector{MeanMean{}(votes)->value, MeanMedian{}(votes)->value,
                         PooledTrimmedMean{}(votes)->value, PooledMedian{}(votes)->value,
                         OrderConsensus<MeanMean>{}(votes)->value};
    };
    const auto before = all();
    std::ranges::shuffle(votes, random);
    ASSERT_EQ(all(), before) << "trial " << trial;
  }
}

}  // namespace
}  // namespace sp2dpo
