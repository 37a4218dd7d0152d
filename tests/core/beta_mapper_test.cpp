// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include <sp2dpo/beta_mapper.hpp>
#include <sp2dpo/linear.hpp>

namespace sp2dpo {
namespace {

static_assert(BetaMapper<std::function<double(const SemanticGap&)>>);
static_assert(!ClippingMapper<std::function<double(const SemanticGap&)>>);
static_assert(!BetaMapper<float (*)(const SemanticGap&)>,
              "betas are double, never rounded on the way");
static_assert(!BetaMapper<double (*)(double)>, "a mapper sees the category and the votes too");

/// What every mapper promises, whichever it is.
template <class Mapper>
class BetaMapperContract : public ::testing::Test {};

using Mappers = ::testing::Types<Linear>;
TYPED_TEST_SUITE(BetaMapperContract, Mappers);

TYPED_TEST(BetaMapperContract, GivesFinitePositiveBetasThatGrowWithTheGap) {
  const TypeParam to_beta{};
  double before = 0;
  for (int i = -300; i <= 300; ++i) {
    const SemanticGap gap{.value = i / 100.0};
    const double beta = to_beta(gap);
    ASSERT_TRUE(std::isfinite(beta) && beta > 0) << "gap " << gap.value << ", beta " << beta;
    ASSERT_GE(beta, before) << "gap " << gap.value;
    ASSERT_EQ(beta, to_beta(gap));
    before = beta;
  }
}

}  // namespace
}  // namespace sp2dpo
