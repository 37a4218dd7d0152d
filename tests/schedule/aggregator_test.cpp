// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/jmamp.hpp>

namespace sp2dpo {
namespace {

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

}  // namespace
}  // namespace sp2dpo
