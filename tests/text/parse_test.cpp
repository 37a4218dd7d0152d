// SPDX-License-Identifier: Apache-2.0
#include "text/parse.hpp"

#include <cstdint>
#include <optional>

#include "text/counted.hpp"
#include <gtest/gtest.h>

namespace sp2dpo::text {
namespace {

TEST(ParseWhole, ParsesATextThatIsANumberThroughout) {
  EXPECT_EQ(parse_whole<int>("-12"), -12);
  EXPECT_EQ(parse_whole<double>("2.5e1"), 25.0);
  EXPECT_EQ(parse_whole<std::uint64_t>("18446744073709551615"), UINT64_MAX);
}

TEST(ParseWhole, RefusesAnythingElse) {
  for (const char* const text : {"", " 1", "1 ", "1x", "+1", "0x1", "-"})
    EXPECT_EQ(parse_whole<int>(text), std::nullopt) << text;
  EXPECT_EQ(parse_whole<std::uint64_t>("-1"), std::nullopt);
  EXPECT_EQ(parse_whole<std::uint8_t>("256"), std::nullopt);
}

TEST(Counted, UsesTheSingularForOneOnly) {
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(std::size_t{2}, "row"), "2 rows");
}

}  // namespace
}  // namespace sp2dpo::text
