// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/annotator_weights.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Annotation vote(std::string annotator, double gap, std::string prompt = "p") {
  return {.annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .magnitude = std::abs(gap),
          .confidence = 1,
          .preferred = gap < 0 ? Preferred::rejected : Preferred::chosen};
}

TEST(WeightedAnnotators, WeighOnlyTheAnnotatorsThatAnswered) {
  const WeightedJmamp aggregate{.weights = {{"a", 3}, {"b", 1}, {"c", 0}}};
  EXPECT_DOUBLE_EQ(aggregate(std::vector{vote("a", 0.8), vote("b", 0.4)})->value, 0.7);
  EXPECT_DOUBLE_EQ(aggregate(std::vector{vote("b", 0.4), vote("c", 1)})->value, 0.4);
  EXPECT_DOUBLE_EQ(
      aggregate(std::vector{vote("a", 0.1), vote("a", 0.9, "q"), vote("a", 0.2, "r")})->value, 0.2);
  EXPECT_FALSE(aggregate(std::vector{vote("c", 1)}).has_value());
  EXPECT_THAT([&] { (void)aggregate(std::vector{vote("d", 1)}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("annotator d has no weight")));
}

TEST(WeightedAnnotators, EqualJmampForEqualWeights) {
  const WeightedJmamp aggregate{.weights = {{"a", 2}, {"b", 2}, {"c", 2}}};
  const std::vector votes{vote("a", 0.3), vote("b", -0.5), vote("c", 1)};
  EXPECT_NEAR(aggregate(votes)->value, Jmamp{}(votes)->value, 1e-15);
}

TEST(LeaveOneOut, IsTheCorrelationWithTheMeanOfTheOthers) {
  std::mt19937_64 random(3);
  std::vector<std::vector<double>> gaps;
  LeaveOneOut fit;
  for (int pair = 0; pair < 200; ++pair) {
    const auto unit = [&] { return static_cast<double>(random() % 1001) / 1000; };
    const double truth = unit();
    const std::vector<double> row{truth, (truth + unit()) / 2, unit()};
    gaps.push_back(row);
    fit.add(std::vector{vote("a", row[0]), vote("b", row[1]), vote("c", row[2])});
  }
  // The textbook formula, in two passes.
  const auto expected = [&](std::size_t own) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    const auto others = [&](const std::vector<double>& row) {
      return (row[0] + row[1] + row[2] - row[own]) / 2;
    };
    for (const auto& row : gaps) mx += row[own] / 200, my += others(row) / 200;
    for (const auto& row : gaps) {
      xx += (row[own] - mx) * (row[own] - mx);
      yy += (others(row) - my) * (others(row) - my);
      xy += (row[own] - mx) * (others(row) - my);
    }
    return xy / std::sqrt(xx * yy);
  };
  const auto agreement = fit.by_annotator();
  EXPECT_NEAR(agreement.at("a").correlation.value(), expected(0), 1e-12);
  EXPECT_NEAR(agreement.at("b").correlation.value(), expected(1), 1e-12);
  EXPECT_NEAR(agreement.at("c").correlation.value(), expected(2), 1e-12);
  EXPECT_EQ(agreement.at("a").n, 200);
  const auto weights = fit.weights();
  EXPECT_GT(weights.at("a"), 2 * weights.at("c"));
}

TEST(LeaveOneOut, GivesZeroWeightToNegativeCorrelation) {
  LeaveOneOut fit;
  for (const double gap : {0.1, 0.4, 0.7, 0.9})
    fit.add(std::vector{vote("a", gap), vote("b", gap), vote("c", 1 - gap), vote("d", gap)});
  EXPECT_EQ(fit.weights().at("c"), 0);
}

TEST(LeaveOneOut, NamesTheAnnotatorWhoseAgreementIsUndefined) {
  LeaveOneOut constant;
  for (const double gap : {0.1, 0.4})
    constant.add(std::vector{vote("a", gap), vote("b", gap), vote("flat", 0.5)});
  EXPECT_THAT([&] { (void)constant.weights(); },
              ThrowsMessage<InvalidArgument>(HasSubstr("annotator flat with the others")));
  LeaveOneOut alone;
  for (const double gap : {0.1, 0.4}) alone.add(std::vector{vote("only", gap)});
  EXPECT_THAT([&] { (void)alone.weights(); },
              ThrowsMessage<InvalidArgument>(HasSubstr("fewer than two pairs")));
  LeaveOneOut against;
  for (const double gap : {0.1, 0.4}) against.add(std::vector{vote("a", gap), vote("b", 1 - gap)});
  EXPECT_THAT([&] { (void)against.weights(); },
              ThrowsMessage<InvalidArgument>(HasSubstr("no annotator agrees")));
}

}  // namespace
}  // namespace sp2dpo
