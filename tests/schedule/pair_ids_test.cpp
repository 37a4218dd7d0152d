// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/schedule/pair_ids.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(PairIds, NumbersDistinctIdsInInsertionOrder) {
  PairIds ids;
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(ids.add(std::to_string(i))) << i;
  for (int i = 0; i < 100'000; ++i) ASSERT_FALSE(ids.add(std::to_string(i))) << i;
  ASSERT_EQ(ids.size(), 100'000u);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_EQ(ids[i], std::to_string(i));
    ASSERT_EQ(ids.find(std::to_string(i)), i);
  }
  EXPECT_EQ(ids.find("100000"), PairIds::none);
}

TEST(PairIds, KeepsTextOfAnyLengthAndAnyBytes) {
  std::vector<std::string> texts{"", std::string("a\0b", 3)};
  for (const std::size_t size : {1u, 253u, 254u, 255u, 256u, 65'535u, 65'536u, 200'000u})
    texts.emplace_back(size, 'x');
  PairIds ids(texts);
  texts.emplace_back("after a long one");
  EXPECT_TRUE(ids.add(texts.back()));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(ids[i], texts[i]);
    EXPECT_EQ(ids.find(texts[i]), i);
  }
  const PairIds moved = std::move(ids);
  EXPECT_EQ(moved.find("x"), 2u);
}

TEST(PairIds, RejectsADuplicateId) {
  const std::vector<std::string> texts{"a", "b", "a"};
  EXPECT_THAT([&] { PairIds ids(texts); },
              ThrowsMessage<InvalidArgument>(HasSubstr("duplicate id: pair a")));
}

TEST(PairIds, IsEmptyByDefault) {
  const PairIds ids;
  EXPECT_EQ(ids.size(), 0u);
  EXPECT_EQ(ids.find(""), PairIds::none);
}

}  // namespace
}  // namespace sp2dpo
