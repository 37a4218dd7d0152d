// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/panel_gaps.hpp>

namespace sp2dpo {
namespace {

using ::testing::ElementsAre;

Annotation vote(std::string annotator, std::string prompt, double gap) {
  return {.annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .magnitude = gap,
          .confidence = 1};
}

TEST(PanelGaps, AreSortedByAnnotatorThenPrompt) {
  const std::vector<Annotation> votes{vote("b", "x", 0.1), vote("a", "y", 0.2),
                                      vote("a", "x", 0.3)};
  const auto gaps = panel_gaps(votes);
  ASSERT_EQ(gaps.size(), 3u);
  EXPECT_EQ(gaps[0].annotator, "a");
  EXPECT_EQ(gaps[0].prompt, "x");
  EXPECT_EQ(gaps[0].gap, 0.3);
  EXPECT_EQ(gaps[2].annotator, "b");
}

TEST(GatherPanel, KeepsTheAnnotatorsThatCountAndTheirAnswers) {
  const std::vector<Annotation> votes{vote("b", "x", 0.1), vote("a", "y", 0.2),
                                      vote("a", "x", 0.4)};
  const auto largest = [](std::span<double> gaps) { return *std::ranges::max_element(gaps); };
  const auto all = gather_panel(votes, {}, largest);
  ASSERT_TRUE(all);
  EXPECT_THAT(all->annotators, ElementsAre(0.4, 0.1));
  EXPECT_THAT(all->answers, ElementsAre(0.4, 0.2, 0.1));
  const auto some = gather_panel(votes, {.min_prompts = 2}, largest);
  EXPECT_THAT(some->annotators, ElementsAre(0.4));
  EXPECT_THAT(some->answers, ElementsAre(0.4, 0.2));
  EXPECT_EQ(some->gap.n_annotations, 2);
  EXPECT_FALSE(gather_panel(votes, {.min_annotators = 3}, largest));
}

}  // namespace
}  // namespace sp2dpo
