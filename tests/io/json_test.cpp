// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/json.hpp>

namespace sp2dpo::io {
namespace {

TEST(Json, WritesEveryKindOfValueCanonically) {
  EXPECT_EQ(Json().text(), "null");
  EXPECT_EQ(Json(true).text(), "true");
  EXPECT_EQ(Json(7).text(), "7");
  EXPECT_EQ(Json(7.0).text(), "7.0");
  EXPECT_EQ(Json(0.1 + 0.2).text(), "0.30000000000000004");
  EXPECT_EQ(Json("a \"b\"").text(), R"("a \"b\"")");
  EXPECT_EQ(Json(Json::List{1, "x", Json::List{}}).text(), R"([1,"x",[]])");
  EXPECT_EQ(Json(Json::Object{{"b", 1}, {"a", Json::Object{}}}).text(), R"({"a":{},"b":1})");
}

TEST(Json, KeepsIntegersOfEitherSign) {
  constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(Json(largest).text(), "18446744073709551615");
  EXPECT_EQ(Json(-1).text(), "-1");
  EXPECT_EQ(Json(std::uint8_t{1}), Json(std::int64_t{1}));
  EXPECT_NE(Json(1), Json(1.0));
}

TEST(Json, FindsFieldsAndNumbers) {
  const Json json = Json::Object{{"n", 2}, {"x", 0.5}, {"list", Json::List{1}}};
  EXPECT_EQ(json.find("n")->number(), 2.0);
  EXPECT_EQ(json.find("x")->number(), 0.5);
  EXPECT_EQ(json.find("list")->number(), std::nullopt);
  EXPECT_EQ(json.find("list")->list()->size(), 1u);
  EXPECT_EQ(json.find("y"), nullptr);
  EXPECT_EQ(Json(1).find("n"), nullptr);
}

TEST(Json, RefusesNumbersThatJsonLacks) {
  EXPECT_THROW((void)Json(std::nan("")).text(), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::io
