// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include <gtest/gtest.h>

#include <sp2dpo/enum_names.hpp>
#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo {
namespace {

static_assert(NamedEnum<Preferred> && NamedEnum<Order> && !NamedEnum<Category>);

TEST(EnumNames, GoFromValuesToNamesAndBack) {
  for (const auto value : {Preferred::chosen, Preferred::rejected, Preferred::tie})
    EXPECT_EQ(parse<Preferred>(name(value)), value);
  EXPECT_EQ(name(Order::rejected_first), "rejected_first");
  EXPECT_EQ(find_enum<Order>("tie"), std::nullopt);
}

TEST(EnumNames, ListTheChoicesForAnUnknownName) {
  EXPECT_EQ(expected_name<Preferred>("left"), "expected chosen, rejected or tie, not \"left\"");
  EXPECT_EQ(expected_name<Order>(""), "expected chosen_first or rejected_first, not \"\"");
  EXPECT_THROW((void)parse<Preferred>("Chosen"), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo
