// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/schedule/aggregate.hpp>

namespace sp2dpo {
namespace {

void expect_same(const SpooledGaps& actual, const Gaps& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_EQ(actual.n_missing(), expected.n_missing());
  std::size_t i = 0;
  actual.for_each([&](const PairGap& pair) {
    const PairGap& other = expected.pairs()[i++];
    ASSERT_EQ(pair.id, other.id);
    ASSERT_EQ(pair.n_annotations, other.n_annotations);
    ASSERT_EQ(pair.gap.has_value(), other.gap.has_value());
    if (!pair.gap) return;
    ASSERT_EQ(pair.gap->value, other.gap->value);
    ASSERT_EQ(pair.gap->spread, other.gap->spread);
    ASSERT_EQ(pair.gap->category, other.gap->category);
    ASSERT_EQ(pair.gap->n_annotators, other.gap->n_annotators);
    ASSERT_EQ(pair.gap->n_annotations, other.gap->n_annotations);
  });
  EXPECT_EQ(i, expected.size());
}

/// Returns enough pairs for several blocks of the file, with ids across block borders.
std::vector<PairGap> pairs() {
  std::vector<PairGap> pairs;
  for (int i = 0; i < 5000; ++i) {
    PairGap pair{.id = std::string(static_cast<std::size_t>(i % 50), 'x') + std::to_string(i),
                 .n_annotations = i % 9};
    if (i % 7 != 0)
      pair.gap = SemanticGap{std::sin(i), static_cast<Category>(i % 6), i % 5, i, 0.25 * i};
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

TEST(SpooledGaps, ReturnsWhatWasAddedAsOftenAsItIsRead) {
  Gaps expected;
  SpooledGaps gaps;
  for (const auto& pair : pairs()) {
    expected.add(pair);
    gaps.add(pair);
  }
  expect_same(gaps, expected);
  expect_same(gaps, expected);
  expect_same(SpooledGaps(), Gaps());
}

TEST(SpooledGaps, AppendsPartsOfAnySizeAndGrowsAfterThem) {
  const auto all = pairs();
  Gaps expected;
  for (const auto& pair : all) expected.add(pair);
  for (const std::size_t middle : {0u, 1u, 10u, 2500u, 4999u, 5000u}) {
    SpooledGaps first, second;
    for (std::size_t i = 0; i < all.size(); ++i) (i < middle ? first : second).add(all[i]);
    first.append(std::move(second));
    expect_same(first, expected);
  }
  SpooledGaps grown;
  SpooledGaps part;
  for (std::size_t i = 0; i < all.size(); ++i)
    i < 100 ? grown.add(all[i]) : i < 200 ? part.add(all[i]) : void();
  grown.append(std::move(part));
  for (std::size_t i = 200; i < all.size(); ++i) grown.add(all[i]);
  expect_same(grown, expected);
}

TEST(SpooledGaps, HasTheSameGapsInPartsAsInMemory) {
  auto ids = test::numbered_ids(40);
  ids.insert(ids.begin(), "without");
  std::mt19937_64 random(7);
  auto annotations = test::forty_pairs();
  std::ranges::shuffle(annotations, random);
  const auto expected = aggregate(test::table(ids, annotations), Jmamp{});
  for (const std::size_t limit : {1u, 5u, 100u, 1000u}) {
    const auto votes = test::table(ids, annotations, limit);
    for (const std::size_t middle : {0u, 1u, 2u, 20u, 40u, 41u}) {
      auto gaps = aggregate_spooled(votes, Jmamp{}, 0, middle);
      gaps.append(aggregate_spooled(votes, Jmamp{}, middle));
      expect_same(gaps, expected);
    }
  }
}

TEST(SpooledGaps, AreMappedToTheSameBetasAsGapsInMemory) {
  Gaps in_memory;
  SpooledGaps spooled;
  for (const auto& pair : pairs()) {
    in_memory.add(pair);
    spooled.add(pair);
  }
  EXPECT_EQ(gap_values(spooled), gap_values(in_memory));
  const auto expect_same_schedule = [&](const auto& mapper, Missing missing) {
    const auto actual = map_gaps(spooled, mapper, missing);
    const auto expected = map_gaps(in_memory, mapper, missing);
    ASSERT_EQ(actual.size(), expected.size());
    std::size_t i = 0;
    actual.for_each([&](const ScheduleEntry& entry) {
      const auto& other = expected.entries()[i++];
      ASSERT_EQ(entry.id, other.id);
      ASSERT_EQ(entry.beta, other.beta);
      ASSERT_EQ(entry.clipped, other.clipped);
      ASSERT_EQ(entry.gap.has_value(), other.gap.has_value());
    });
  };
  expect_same_schedule(Linear{}, {Missing::Policy::drop});
  expect_same_schedule(Rank(gap_values(spooled)), {Missing::Policy::base_beta, 0.1});
  EXPECT_THROW((void)map_gaps(spooled, Linear{}), InvalidArgument);
}

TEST(SpooledGaps, CanBeChangedPairByPair) {
  SpooledGaps gaps;
  Gaps expected;
  for (auto pair : pairs()) {
    gaps.add(pair);
    if (pair.gap) pair.gap->value *= 2;
    expected.add(pair);
  }
  expect_same(gaps.changed([](PairGap& pair) {
    if (pair.gap) pair.gap->value *= 2;
  }),
              expected);
}

}  // namespace
}  // namespace sp2dpo
