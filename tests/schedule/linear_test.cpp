// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/linear.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

double beta_of(const Linear& map, double gap) {
  return map({.value = gap});
}

TEST(Linear, MeetsTheEndsOfItsEnvelopeExactly) {
  EXPECT_EQ(beta_of(Linear(), 0), 0.03);
  EXPECT_EQ(beta_of(Linear(), 1), 0.3);
  EXPECT_EQ(beta_of(Linear({0.1, 0.7}, {-1, 3}), -1), 0.1);
  EXPECT_EQ(beta_of(Linear({0.1, 0.7}, {-1, 3}), 3), 0.7);
}

TEST(Linear, IsLinearInBetween) {
  EXPECT_DOUBLE_EQ(beta_of(Linear(), 0.5), 0.165);
  EXPECT_DOUBLE_EQ(beta_of(Linear(), 0.25), 0.0975);
  EXPECT_DOUBLE_EQ(beta_of(Linear({0.1, 0.5}, {-1, 3}), 0), 0.2);
}

TEST(Linear, ClipsOutsideItsRangeAndSaysAtWhichEnd) {
  const Linear map;
  EXPECT_EQ(beta_of(map, -0.5), 0.03);
  EXPECT_EQ(beta_of(map, 1.5), 0.3);
  EXPECT_EQ(map.clip({.value = -1e-9}), Clip::low);
  EXPECT_EQ(map.clip({.value = 1 + 1e-9}), Clip::high);
  for (const double inside : {0.0, 0.5, 1.0}) EXPECT_EQ(map.clip({.value = inside}), Clip::none);
}

TEST(Linear, MayBeConstant) {
  EXPECT_EQ(beta_of(Linear({0.1, 0.1}), 0.7), 0.1);
}

TEST(Linear, PassesANanOnInsteadOfMakingABetaOfIt) {
  EXPECT_TRUE(std::isnan(beta_of(Linear(), std::numeric_limits<double>::quiet_NaN())));
}

TEST(Linear, RefusesAnEnvelopeThatIsNotPositiveFiniteAndInOrder) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Interval bad :
       {Interval{0, 0.3}, {-0.1, 0.3}, {0.3, 0.03}, {0.03, inf}, {nan, 0.3}, {0.03, nan}})
    EXPECT_THAT([=] { (void)Linear(bad); }, ThrowsMessage<InvalidArgument>(HasSubstr("envelope")))
        << bad.low << ' ' << bad.high;
  for (const Interval bad : {Interval{0, 0}, {1, 0}, {-inf, 1}, {0, inf}, {nan, 1}, {0, nan}})
    EXPECT_THAT(
        [=] {
          (void)Linear({0.03, 0.3}, bad);
        },
        ThrowsMessage<InvalidArgument>(HasSubstr("gap range")))
        << bad.low << ' ' << bad.high;
}

}  // namespace
}  // namespace sp2dpo
