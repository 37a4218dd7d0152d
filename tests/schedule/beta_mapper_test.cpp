// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

static_assert(BetaMapper<std::function<double(const SemanticGap&)>>);
static_assert(!ClippingMapper<std::function<double(const SemanticGap&)>>);
static_assert(!BetaMapper<float (*)(const SemanticGap&)>,
              "betas are double, never rounded on the way");
static_assert(!BetaMapper<double (*)(double)>, "a mapper sees the category and the votes too");

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// The properties that every mapper of the library has.
template <class Mapper>
class BetaMapperContract : public ::testing::Test {
 protected:
  static Mapper make() {
    if constexpr (std::is_same_v<Mapper, Constant>) return Constant(0.1);
    if constexpr (std::is_same_v<Mapper, Rank>) return Rank({0.7, -0.5, 0.2, 0.2});
    if constexpr (std::is_same_v<Mapper, ByCategory>) return ByCategory({Linear()});
    if constexpr (std::is_default_constructible_v<Mapper>) return Mapper{};
  }
};

using Mappers = ::testing::Types<Linear, Constant, Logistic, Rank, ByCategory>;
TYPED_TEST_SUITE(BetaMapperContract, Mappers);

TYPED_TEST(BetaMapperContract, GivesBetasInTheEnvelopeThatDoNotDecreaseWithTheGap) {
  const TypeParam to_beta = this->make();
  double before = 0;
  for (int i = -300; i <= 300; ++i) {
    const SemanticGap gap{.value = i / 100.0};
    const double beta = to_beta(gap);
    ASSERT_TRUE(0.03 <= beta && beta <= 0.3) << "gap " << gap.value << ", beta " << beta;
    ASSERT_GE(beta, before) << "gap " << gap.value;
    ASSERT_EQ(beta, to_beta(gap));
    before = beta;
  }
}

double beta_of(const Linear& map, double gap) {
  return map({.value = gap});
}

TEST(Linear, ReachesTheEndsOfItsEnvelopeExactly) {
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

TEST(Linear, ClipsOutsideItsRangeAndReportsTheEnd) {
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

TEST(Linear, MapsNanToNan) {
  EXPECT_TRUE(std::isnan(beta_of(Linear(), nan)));
}

TEST(Linear, RejectsAnInvalidEnvelopeOrRange) {
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

SemanticGap gap(double value, int category = 0) {
  return {.value = value, .category = static_cast<Category>(category)};
}

TEST(Constant, IsTheSameForEveryGap) {
  EXPECT_EQ(Constant(0.1)(gap(-3)), 0.1);
  EXPECT_EQ(Constant(0.1)(gap(1)), 0.1);
  for (const double bad : {0.0, -1.0, nan, inf})
    EXPECT_THAT([=] { (void)Constant(bad); }, ThrowsMessage<InvalidArgument>(HasSubstr("beta")));
}

TEST(Logistic, IsTheMiddleAtItsMidpointAndOddAroundIt) {
  const Logistic map(0.25, 6, {0.1, 0.5});
  EXPECT_DOUBLE_EQ(map(gap(0.25)), 0.3);
  for (const double step : {0.1, 0.5, 2.0})
    EXPECT_NEAR(map(gap(0.25 + step)) + map(gap(0.25 - step)), 0.6, 1e-15);
  EXPECT_NEAR(map(gap(0.75)), 0.1 + 0.4 / (1 + std::exp(-3.0)), 1e-15);
  EXPECT_NEAR((map(gap(0.25 + 1e-6)) - map(gap(0.25 - 1e-6))) / 2e-6, 0.4 * 6 / 4, 1e-8);
  EXPECT_NEAR((Logistic()(gap(0)) - 0.03) / 0.27, 0.018, 1e-4);
}

TEST(Logistic, StaysFiniteForLargeGapsAndRejectsAnInvalidSlope) {
  EXPECT_EQ(Logistic()(gap(1e6)), 0.3);
  EXPECT_EQ(Logistic()(gap(-1e6)), 0.03);
  EXPECT_TRUE(std::isnan(Logistic()(gap(nan))));
  for (const double bad : {0.0, -1.0, nan, inf})
    EXPECT_THAT([=] { (void)Logistic(0, bad); },
                ThrowsMessage<InvalidArgument>(HasSubstr("slope")));
  EXPECT_THAT([] { (void)Logistic(nan); }, ThrowsMessage<InvalidArgument>(HasSubstr("midpoint")));
}

TEST(Rank, SpreadsBetasEvenlyForAnyDistribution) {
  const Rank map({0.9, 0.1, 0.11, 100}, {1, 2});
  EXPECT_DOUBLE_EQ(map(gap(0.1)), 1.125);
  EXPECT_DOUBLE_EQ(map(gap(0.11)), 1.375);
  EXPECT_DOUBLE_EQ(map(gap(0.9)), 1.625);
  EXPECT_DOUBLE_EQ(map(gap(100)), 1.875);
  EXPECT_EQ(map(gap(-5)), 1) << "below all of them";
  EXPECT_DOUBLE_EQ(map(gap(0.5)), 1.5) << "between two of them";
  EXPECT_EQ(map(gap(101)), 2);
  EXPECT_EQ(Rank({100, 0.11, 0.9, 0.1}, {1, 2})(gap(0.9)), map(gap(0.9))) << "in any order";
}

TEST(Rank, GivesEqualGapsEqualBetasAndKeepsTheMeanInTheMiddle) {
  const std::vector<double> gaps{0, 0, 0, 0.5, 0.5, 1, -1, 0};
  const Rank map(gaps);
  double sum = 0;
  for (const double g : gaps) sum += map(gap(g));
  EXPECT_NEAR(sum / 8, 0.165, 1e-15);
  EXPECT_DOUBLE_EQ(map(gap(0)), 0.03 + 0.27 * 3 / 8);
}

TEST(Rank, RejectsEmptyAndNonFiniteGaps) {
  EXPECT_THROW((void)Rank({}), InvalidArgument);
  for (const double bad : {nan, inf})
    EXPECT_THAT([=] { (void)Rank({0, bad}); }, ThrowsMessage<InvalidArgument>(HasSubstr("finite")));
  EXPECT_TRUE(std::isnan(Rank({0, 1})(gap(nan))));
}

TEST(ByCategory, UsesTheMapOfEachCategory) {
  const ByCategory map({Linear({0.1, 0.5}), Linear({0.03, 0.1}, {-1, 1})});
  EXPECT_DOUBLE_EQ(map(gap(0.5, 0)), 0.3);
  EXPECT_DOUBLE_EQ(map(gap(0, 1)), 0.065);
  EXPECT_EQ(map.clip(gap(-0.5, 0)), Clip::low);
  EXPECT_EQ(map.clip(gap(-0.5, 1)), Clip::none);
  EXPECT_THAT([&] { (void)map(gap(0, 2)); },
              ThrowsMessage<InvalidArgument>(HasSubstr("category number 2 has no map")));
}

}  // namespace
}  // namespace sp2dpo
