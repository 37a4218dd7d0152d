// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include <gtest/gtest.h>

#include <sp2dpo/schedule/pair.hpp>

namespace sp2dpo {
namespace {

TEST(PreferencePair, HoldsPlainTextOrTheTurnsOfAConversation) {
  PreferencePair pair{.id = "p", .prompt = "2 + 2?", .chosen = "4", .rejected = "5"};
  EXPECT_EQ(pair.chosen, Text("4"));
  EXPECT_NE(pair.chosen, pair.rejected);
  pair.chosen = std::vector<Message>{{"assistant", "4"}};
  EXPECT_EQ(std::get<1>(pair.chosen).at(0), (Message{"assistant", "4"}));
  EXPECT_NE(pair.chosen, Text("4"));
}

TEST(PreferencePair, FindsAColumnByAViewOfItsName) {
  const PreferencePair pair{.columns = {{"score_chosen", "8.5"}}};
  const auto column = pair.columns.find(std::string_view("score_chosen"));
  ASSERT_NE(column, pair.columns.end());
  EXPECT_EQ(column->second, "8.5");
}

}  // namespace
}  // namespace sp2dpo
