// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <type_traits>

#include <gtest/gtest.h>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/mappers.hpp>

namespace sp2dpo {
namespace {

static_assert(BetaMapper<std::function<double(const SemanticGap&)>>);
static_assert(!ClippingMapper<std::function<double(const SemanticGap&)>>);
static_assert(!BetaMapper<float (*)(const SemanticGap&)>,
              "betas are double, never rounded on the way");
static_assert(!BetaMapper<double (*)(double)>, "a mapper sees the category and the votes too");

/// What every mapper promises, whichever it is.
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

TYPED_TEST(BetaMapperContract, GivesBetasWithinTheEnvelopeThatDoNotFallAsTheGapGrows) {
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

}  // namespace
}  // namespace sp2dpo
