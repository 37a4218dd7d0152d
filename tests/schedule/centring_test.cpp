// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/centring.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Annotation vote(std::string annotator, double gap) {
  return {.annotator = std::move(annotator),
          .prompt = "p",
          .magnitude = std::abs(gap),
          .confidence = 1,
          .preferred = gap < 0 ? Preferred::rejected : Preferred::chosen};
}

/// Returns a lenient annotator (mean 0.7, deviation 0.2) and a harsh one (mean 0.1, deviation 0.1).
const std::vector<std::vector<Annotation>>& corpus() {
  static const std::vector<std::vector<Annotation>> pairs{
      {vote("lenient", 0.5), vote("harsh", 0.2)},
      {vote("lenient", 0.9), vote("harsh", 0.0)},
      {vote("lenient", 0.9), vote("harsh", 0.2)},
      {vote("lenient", 0.5), vote("harsh", 0.0)}};
  return pairs;
}

AnnotatorScales scales(Centring how) {
  AnswerCounts counts;
  for (const auto& votes : corpus()) counts.add(votes);
  return {how, counts};
}

TEST(Centring, ShiftsEachAnnotatorToTheCommonMean) {
  const auto centered = scales(Centring::center);
  EXPECT_NEAR(centered("lenient", 0.9), 0.4 + 0.2, 1e-15);
  EXPECT_NEAR(centered("harsh", 0.0), 0.4 - 0.1, 1e-15);
  const auto scaled = scales(Centring::zscore);
  EXPECT_NEAR(scaled("lenient", 0.9), 0.4 + 0.15, 1e-15);
  EXPECT_NEAR(scaled("harsh", 0.0), 0.4 - 0.15, 1e-15);
}

TEST(Centring, RanksAGapAmongTheAnnotatorsOwnGaps) {
  const auto ranks = scales(Centring::rank);
  EXPECT_DOUBLE_EQ(ranks("lenient", 0.5), 0.25);
  EXPECT_DOUBLE_EQ(ranks("lenient", 0.9), 0.75);
  EXPECT_DOUBLE_EQ(ranks("lenient", 0.7), 0.5);
  EXPECT_DOUBLE_EQ(ranks("lenient", 1.0), 1);
  EXPECT_DOUBLE_EQ(ranks("harsh", 0.0), 0.25);
}

TEST(Centring, AppliesTheInnerAggregatorToScaledGaps) {
  const Centred<Jmamp> centred{scales(Centring::center)};
  EXPECT_NEAR(centred(corpus()[0])->value, (0.2 + 0.5) / 2, 1e-15);
  EXPECT_EQ(centred(corpus()[0])->n_annotators, 2);
  // The level matters for a pair that the other annotator misses: 0.9 alone changes.
  EXPECT_NEAR(centred(std::vector{vote("lenient", 0.9)})->value, 0.6, 1e-15);
  const Centred<Jmamp> none{scales(Centring::none)};
  for (const auto& votes : corpus()) EXPECT_EQ(none(votes)->value, Jmamp{}(votes)->value);
}

TEST(Centring, IsInvariantToAnAnnotatorsScale) {
  AnswerCounts counts, stretched;
  std::vector<std::vector<Annotation>> pairs = corpus();
  for (const auto& votes : pairs) counts.add(votes);
  for (auto& votes : pairs) {
    votes[1].magnitude = 0.3 + 2 * votes[1].magnitude;
    stretched.add(votes);
  }
  const AnnotatorScales rank(Centring::rank, counts), again(Centring::rank, stretched);
  EXPECT_EQ(rank("harsh", 0.2), again("harsh", 0.3 + 2 * 0.2));
}

TEST(Centring, CentresAnAnnotatorWithConstantGaps) {
  AnswerCounts counts;
  for (const double gap : {0.0, 0.5, 1.0})
    counts.add(std::vector{vote("a", gap), vote("constant", 0.3)});
  const AnnotatorScales scaled(Centring::zscore, counts);
  EXPECT_DOUBLE_EQ(scaled("constant", 0.3), (0.5 + 0.3) / 2);
}

TEST(Centring, NamesAnUnknownAnnotator) {
  const Centred<Jmamp> centred{scales(Centring::center)};
  EXPECT_THAT([&] { (void)centred(std::vector{vote("new", 1)}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("annotator new has no scale")));
}

}  // namespace
}  // namespace sp2dpo
