// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <gmock/gmock.h>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo {
namespace {

using ::testing::ThrowsMessage;

TEST(Require, ThrowsTheFormattedSentenceAndOnlyOnFailure) {
  EXPECT_NO_THROW(detail::require(true, "beta is {}", 1));
  EXPECT_THAT([] { detail::require(false, "pair {}: beta is {}", "p7", -0.5); },
              ThrowsMessage<InvalidArgument>(std::string("pair p7: beta is -0.5")));
}

TEST(DataError, NamesFileLineAndFieldIfTheyApply) {
  EXPECT_STREQ(DataError("a.jsonl", 3, "beta", "must be positive").what(),
               "a.jsonl:3: field \"beta\": must be positive");
  EXPECT_STREQ(DataError("a.jsonl", 3, "", "is no object").what(), "a.jsonl:3: is no object");
  EXPECT_STREQ(DataError("a.jsonl", 0, "", "is empty").what(), "a.jsonl: is empty");

  const DataError error("a.jsonl", 3, "beta", "must be positive");
  EXPECT_EQ(error.file, "a.jsonl");
  EXPECT_EQ(error.line, 3);
  EXPECT_EQ(error.field, "beta");
}

TEST(Errors, AreCaughtByTheirRoot) {
  EXPECT_THROW(throw InvalidArgument("x"), Error);
  EXPECT_THROW(throw DataError("f", 1, "", "x"), Error);
  EXPECT_THROW(throw CudaError("x"), std::runtime_error);
}

}  // namespace
}  // namespace sp2dpo
