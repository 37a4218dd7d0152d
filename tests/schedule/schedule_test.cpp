// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Schedule three() {
  return Schedule({{"a", 0.1}, {"b", 0.2}, {"c", 0.3}});
}

TEST(Schedule, KeepsTheOrderOfItsPairsAndFindsThemById) {
  const auto schedule = three();
  ASSERT_EQ(schedule.size(), 3u);
  EXPECT_EQ(schedule.entries()[1].id, "b");
  ASSERT_NE(schedule.find("c"), nullptr);
  EXPECT_EQ(schedule.find("c")->beta, 0.3);
  EXPECT_EQ(schedule.find("d"), nullptr);
}

TEST(Schedule, JoinsABatchInTheOrderOfTheBatch) {
  EXPECT_THAT(three().betas(std::vector<std::string>{"c", "a"}), ElementsAre(0.3, 0.1));
  EXPECT_TRUE(three().betas({}).empty());
}

TEST(Schedule, NamesAnUnknownOrDuplicatePairOfABatch) {
  const auto join = [](std::vector<std::string> ids) {
    return [ids] { (void)three().betas(ids); };
  };
  EXPECT_THAT(join({"a", "x9"}),
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair x9"), HasSubstr("3 pairs"))));
  EXPECT_THAT(join({"a", "b", "a"}),
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("0 and 2"))));
}

TEST(Schedule, NamesThePairWhoseBetaIsNotFiniteAndPositive) {
  for (const double bad : {0.0, -0.1, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THAT(([bad] {
                  (void)Schedule({{"a", 0.1}, {"q7", bad}});
                }),
                ThrowsMessage<InvalidArgument>(HasSubstr("pair q7")))
        << bad;
}

TEST(Schedule, NamesADuplicatePair) {
  EXPECT_THAT(([] {
                (void)Schedule({{"a", 0.1}, {"b", 0.2}, {"a", 0.3}});
              }),
              ThrowsMessage<InvalidArgument>(HasSubstr("duplicate id: pair a")));
}

TEST(Schedule, RejectsACategoryOutsideItsList) {
  const auto make = [] {
    (void)Schedule({{"a", 0.1, SemanticGap{.category = Category{2}}}}, Categories({"x", "y"}));
  };
  EXPECT_THAT(make, ThrowsMessage<InvalidArgument>(HasSubstr("category number 2")));
}

TEST(Schedule, FindsItsPairsAfterBeingMoved) {
  auto first = three();  // ids short enough to lie inside their strings, which must stay in place
  Schedule second(std::move(first));
  EXPECT_EQ(second.find("b")->beta, 0.2);
  Schedule third({{"z", 1.0}});
  third = std::move(second);
  EXPECT_EQ(third.find("a")->beta, 0.1);
  EXPECT_EQ(third.find("z"), nullptr);
}

TEST(Schedule, HasWeightsForAllPairsOrForNone) {
  const auto two = [](std::optional<double> a, std::optional<double> b) {
    return Schedule({{.id = "a", .beta = 0.1, .weight = a}, {.id = "b", .beta = 0.1, .weight = b}});
  };
  EXPECT_TRUE(two(0.5, 1.5).has_weights());
  EXPECT_THAT(two(0.5, 1.5).weights(std::vector<std::string>{"b", "a"}), ElementsAre(1.5, 0.5));
  EXPECT_FALSE(three().has_weights());
  EXPECT_THAT([] { (void)three().weights(std::vector<std::string>{"a"}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("no weights")));
  EXPECT_THAT([&] { (void)two(0.5, std::nullopt); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair b has no weight, unlike pair a")));
  EXPECT_THAT([&] { (void)two(std::nullopt, 0.5); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair b has a weight, unlike pair a")));
  for (const double bad :
       {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THAT([&] { (void)two(1, bad); },
                ThrowsMessage<InvalidArgument>(HasSubstr("pair b: the weight")))
        << bad;
}

TEST(Schedule, MayBeEmpty) {
  const Schedule schedule({});
  EXPECT_EQ(schedule.size(), 0u);
  EXPECT_EQ(schedule.find("a"), nullptr);
}

}  // namespace
}  // namespace sp2dpo
