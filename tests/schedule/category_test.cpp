// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/category.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Categories, DefaultToTheRubricHighestPriorityFirst) {
  EXPECT_THAT(Categories().names(), ElementsAre("safety", "factuality", "instruction", "reasoning",
                                                "helpfulness", "style"));
}

TEST(Categories, ConvertBetweenNamesAndCategories) {
  const Categories categories({"tone", "facts"});
  EXPECT_EQ(categories.at("facts"), Category{1});
  EXPECT_EQ(categories.name(Category{1}), "facts");
  EXPECT_EQ(categories.find("tone"), Category{0});
  EXPECT_EQ(categories.find("Tone"), std::nullopt);
  EXPECT_EQ(categories.list(), "tone, facts");
}

TEST(Categories, ListTheValidNamesForAnUnknownOne) {
  const Categories categories({"tone", "facts"});
  EXPECT_THAT(
      [&] { (void)categories.at("safety"); },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("\"safety\""), HasSubstr("tone, facts"))));
  EXPECT_THAT([&] { (void)categories.name(Category{2}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("category number 2")));
}

TEST(Categories, RejectEmptyDuplicateAndTooManyNames) {
  const auto make = [](std::vector<std::string> names) {
    return [names] { (void)Categories(names); };
  };
  EXPECT_THAT(make({}), ThrowsMessage<InvalidArgument>(HasSubstr("not 0")));
  EXPECT_THAT(make({"a", ""}), ThrowsMessage<InvalidArgument>(HasSubstr("empty")));
  EXPECT_THAT(make({"a", "b", "a"}),
              ThrowsMessage<InvalidArgument>(HasSubstr("duplicate category \"a\"")));

  std::vector<std::string> names;
  for (int i = 0; i < 255; ++i) names.push_back(std::to_string(i));
  EXPECT_EQ(Categories(names).name(Category{254}), "254");
  names.push_back("one more");
  EXPECT_THAT(make(names), ThrowsMessage<InvalidArgument>(HasSubstr("not 256")));
}

}  // namespace
}  // namespace sp2dpo
