// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include "oracle_case.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/loss/pair_loss.hpp>

namespace sp2dpo {
namespace {

struct Results {
  std::vector<double> losses, d_policy, d_beta;
};

/// Computes loss and gradient of the mean from log-probabilities. d_policy is ordered as in the
/// file: all chosen responses, then all rejected ones.
template <class Objective>
Results run(const OracleCase& oracle) {
  const auto& policy = oracle["policy"];
  const auto& reference = oracle["reference"];
  const std::size_t pairs = oracle["beta"].size();
  const auto half = [&](const std::vector<double>& responses, std::size_t side) {
    return PairValues(responses.data() + side * pairs, DType::float64);
  };
  Results out{std::vector<double>(pairs), std::vector<double>(2 * pairs),
              std::vector<double>(pairs)};
  pair_loss({.policy_chosen = half(policy, 0),
             .policy_rejected = half(policy, 1),
             .reference_chosen = half(reference, 0),
             .reference_rejected = half(reference, 1),
             .beta = {oracle["beta"].data(), DType::float64}},
            {.loss = {out.losses.data(), DType::float64},
             .d_policy_chosen = {out.d_policy.data(), DType::float64},
             .d_policy_rejected = {out.d_policy.data() + pairs, DType::float64},
             .d_beta = {out.d_beta.data(), DType::float64},
             .gradient_scale = 1 / static_cast<double>(pairs)},
            0, static_cast<std::int64_t>(pairs), oracle.objective<Objective>());
  return out;
}

template <class Objective>
class TrlLogProbs : public testing::Test {};
TYPED_TEST_SUITE(TrlLogProbs, InTrl, );

template <class Objective>
class LigerLogProbs : public testing::Test {};
TYPED_TEST_SUITE(LigerLogProbs, InLiger, );

TYPED_TEST(TrlLogProbs, MatchLossAndSlopesWithABetaForEachPair) {
  const OracleCase oracle("trl", TypeParam::name);
  if (oracle.missing()) GTEST_SKIP() << oracle.why();
  const auto out = run<TypeParam>(oracle);
  expect_close(out.losses, oracle["losses"], 1e-12, "losses");
  expect_close(out.d_policy, oracle["d_policy"], 1e-12, "d_policy");
  expect_close(out.d_beta, oracle["d_beta"], 1e-12, "d_beta");
}

TYPED_TEST(LigerLogProbs, MatchTheLossPairByPair) {
  const OracleCase oracle("liger", TypeParam::name);
  if (oracle.missing()) GTEST_SKIP() << oracle.why();
  expect_close(run<TypeParam>(oracle).losses, oracle["losses"], 1e-6, "losses");
}

}  // namespace
}  // namespace sp2dpo
