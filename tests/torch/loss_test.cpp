// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "reduced.hpp"
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <sp2dpo/loss/built_in_objectives.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// The inputs of LLaMA-Factory's precision test, with the betas of the schedule's envelope.
struct Golden {
  at::TensorOptions options = at::TensorOptions(at::kDouble);
  LogProbs policy{at::tensor({-3.0, -2.5, -4.0, -1.5}, options),
                  at::tensor({-5.0, -3.5, -6.0, -2.5}, options)};
  LogProbs reference{at::tensor({-2.8, -2.3, -3.8, -1.4}, options),
                     at::tensor({-3.2, -2.7, -4.2, -1.8}, options)};
  Tensor beta = at::tensor({0.03, 0.1, 0.2, 0.3}, options);

  Golden() {
    policy.chosen.requires_grad_();
    policy.rejected.requires_grad_();
    beta.requires_grad_();
  }
};

double worst_of(const Tensor& a, const Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(Loss, GivesTheGoldenValuesAndGradients) {
  Golden golden;
  const auto out = Loss<>()(golden.policy, golden.reference, {.beta = golden.beta});
  out.loss.backward();
  const auto vector = [&](std::vector<double> values) {
    return at::tensor(values, golden.options);
  };

  EXPECT_NEAR(out.loss.item<double>(), 0.6215292320032973, 1e-15);
  EXPECT_LT(worst_of(out.losses(),
                     vector({0.669435152916, 0.663597113076, 0.545892937180, 0.607191724841})),
            1e-12);
  const auto chosen = vector({-0.003660017276, -0.012125112460, -0.021033787393, -0.034134083072});
  EXPECT_LT(worst_of(golden.policy.chosen.grad(), chosen), 1e-12);
  EXPECT_LT(worst_of(golden.policy.rejected.grad(), -chosen), 1e-12);
  EXPECT_LT(worst_of(golden.beta.grad(),
                     vector({-0.195200921388, -0.072750674757, -0.168270299141, -0.068268166144})),
            1e-12);
  EXPECT_LT(worst_of(out.chosen_rewards(), vector({-0.006, -0.02, -0.04, -0.03})), 1e-15);
  EXPECT_LT(worst_of(out.rejected_rewards(), vector({-0.054, -0.08, -0.36, -0.21})), 1e-15);
  EXPECT_LT(worst_of(out.log_ratios(), vector({1.6, 0.6, 1.6, 0.6})), 1e-14);
}

class LossAgainstTorch
    : public ::testing::TestWithParam<std::tuple<at::ScalarType, std::int64_t, Reduction>> {};

/// Compares value and gradient with libtorch's own operations in double, on the same numbers.
TEST_P(LossAgainstTorch, ValueAndGradientAgree) {
  const auto [dtype, pairs, reduction] = GetParam();
  at::manual_seed(pairs);
  const auto log_probs = [&, dtype = dtype, pairs = pairs] {
    return (at::randn({pairs}, at::kDouble) * 3 - 40).to(dtype);
  };
  const LogProbs policy{log_probs().requires_grad_(), log_probs().requires_grad_()};
  const LogProbs reference{log_probs(), log_probs()};
  const Tensor beta = (at::rand({pairs}, at::kFloat) * 0.27 + 0.03).requires_grad_();
  const Tensor margin = at::randn({pairs}, at::kDouble).requires_grad_();
  const Tensor weight = at::rand({pairs}, at::kFloat);
  const auto out = Loss<>({.label_smoothing = 0.1}, {.reduction = reduction})(
      policy, reference, {.beta = beta, .margin = margin, .weight = weight});

  const auto wide = [](const Tensor& t) {
    return t.detach().to(at::kDouble).requires_grad_(t.requires_grad());
  };
  const Tensor pc = wide(policy.chosen), pr = wide(policy.rejected), b = wide(beta),
               m = wide(margin);
  const Tensor z = b * ((pc - wide(reference.chosen)) - (pr - wide(reference.rejected))) - m;
  const Tensor losses = -wide(weight) * (0.9 * at::log_sigmoid(z) + 0.1 * at::log_sigmoid(-z));
  const Tensor expected = test::reduced(losses, reduction);
  const Tensor upstream = at::rand(expected.sizes(), at::kDouble) + 0.5;
  (out.loss * upstream).sum().backward();
  (expected * upstream).sum().backward();

  // Inputs are the same numbers, so only the outputs' own rounding is allowed.
  const double ulp = dtype == at::kDouble     ? 1e-13
                     : dtype == at::kFloat    ? 1e-6
                     : dtype == at::kBFloat16 ? 1.0 / 256
                                              : 1.0 / 2048;
  const double narrow = dtype == at::kDouble ? 1e-13 : 1e-6;
  const auto close = [](const Tensor& got, const Tensor& wanted, double rtol) {
    return at::allclose(got.to(at::kDouble), wanted, rtol, rtol * 1e-3);
  };
  EXPECT_EQ(out.loss.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
  EXPECT_EQ(out.loss.sizes(), expected.sizes());
  EXPECT_TRUE(close(out.loss, expected, narrow));
  EXPECT_EQ(policy.chosen.grad().scalar_type(), dtype);
  EXPECT_TRUE(close(policy.chosen.grad(), pc.grad(), ulp));
  EXPECT_TRUE(close(policy.rejected.grad(), pr.grad(), ulp));
  EXPECT_TRUE(close(beta.grad(), b.grad(), 1e-6));
  EXPECT_TRUE(close(margin.grad(), m.grad(), narrow));
}

INSTANTIATE_TEST_SUITE_P(
    DTypesSizesReductions, LossAgainstTorch,
    ::testing::Combine(::testing::Values(at::kHalf, at::kBFloat16, at::kFloat, at::kDouble),
                       ::testing::Values(1, 31, 257),
                       ::testing::Values(Reduction::none, Reduction::mean, Reduction::sum)));

TEST(Loss, ReadsViewsOfOneTensorWithoutCopyingThem) {
  const Tensor both = at::randn({6}, at::kFloat).requires_grad_();
  const Tensor interleaved = both.view({3, 2});
  const LogProbs reference{at::zeros({3}), at::zeros({3})};
  const auto from_views =
      Loss<>()({interleaved.select(1, 0), interleaved.select(1, 1)}, reference, {.beta = 0.1});
  const auto from_copies =
      Loss<>()({interleaved.select(1, 0).contiguous(), interleaved.select(1, 1).contiguous()},
               reference, {.beta = 0.1});
  EXPECT_TRUE(at::equal(from_views.loss, from_copies.loss));
  from_views.loss.backward();
  const Tensor gradient = both.grad().view({3, 2});
  EXPECT_TRUE(at::equal(gradient.select(1, 0), -gradient.select(1, 1)));
  EXPECT_GT(gradient.abs().min().item<double>(), 0);
}

TEST(Loss, DividesByTheNormalizerThatIsGiven) {
  Golden golden;
  const auto mean = Loss<>()(golden.policy, golden.reference, {.beta = 0.1});
  const auto share =
      Loss<>({}, {.normalizer = 16.0})(golden.policy, golden.reference, {.beta = 0.1});
  EXPECT_NEAR(share.loss.item<double>(), mean.loss.item<double>() / 4, 1e-15);
}

TEST(Loss, LeavesOutAGradientThatIsNotNeeded) {
  Golden golden;
  const c10::NoGradGuard guard;
  const auto out = Loss<>()(golden.policy, golden.reference, {.beta = golden.beta});
  EXPECT_FALSE(out.loss.requires_grad());
  EXPECT_NEAR(out.loss.item<double>(), 0.6215292320032973, 1e-15);
}

TEST(Loss, AccumulatesOverTwoBackwardsOfOneGraph) {
  Golden golden;
  const auto out = Loss<>()(golden.policy, golden.reference, {.beta = 0.1});
  out.loss.backward({}, /*retain_graph=*/true);
  const Tensor once = golden.policy.chosen.grad().clone();
  out.loss.backward();
  EXPECT_TRUE(at::equal(golden.policy.chosen.grad(), once * 2));
}

TEST(LossMetrics, CarryTrlsNamesAndThePairsOwnBetas) {
  Golden golden;
  const auto metrics = Loss<>()(golden.policy, golden.reference, {.beta = golden.beta}).metrics();
  EXPECT_NEAR(metrics.at("rewards/chosen"), (-0.006 - 0.02 - 0.04 - 0.03) / 4, 1e-15);
  EXPECT_NEAR(metrics.at("rewards/rejected"), (-0.054 - 0.08 - 0.36 - 0.21) / 4, 1e-15);
  EXPECT_NEAR(metrics.at("rewards/margins"), (0.048 + 0.06 + 0.32 + 0.18) / 4, 1e-15);
  EXPECT_EQ(metrics.at("rewards/accuracies"), 1.0);
  EXPECT_NEAR(metrics.at("logps/chosen"), -2.75, 1e-15);
  EXPECT_NEAR(metrics.at("logps/rejected"), -4.25, 1e-15);
  EXPECT_NEAR(metrics.at("logratios/margin"), 1.1, 1e-15);
  EXPECT_NEAR(metrics.at("beta/mean"), 0.1575, 1e-15);
  EXPECT_EQ(metrics.at("beta/min"), 0.03);
  EXPECT_EQ(metrics.at("beta/max"), 0.3);
  EXPECT_EQ(metrics.at("loss/saturated_frac"), 0.0);
}

TEST(LossMetrics, CountSaturatedPairsAndTiesAsFailures) {
  const LogProbs policy{at::tensor({30.0, 0.0}), at::tensor({0.0, 0.0})};
  const LogProbs reference{at::zeros({2}), at::zeros({2})};
  const auto metrics = Loss<>()(policy, reference, {.beta = 0.1}).metrics();
  EXPECT_EQ(metrics.at("loss/saturated_frac"), 0.5);  // z = 3 > log 19 = 2.94
  EXPECT_EQ(metrics.at("rewards/accuracies"), 0.5);
}

TEST(Loss, NamesTheTensorThatIsWrong) {
  const auto expect_error = [](const LogProbs& policy, const LogProbs& reference,
                               const Controls& controls, const auto& message) {
    EXPECT_THAT([&] { (void)Loss<>()(policy, reference, controls); },
                ThrowsMessage<c10::Error>(message));
  };
  const Tensor ok = at::zeros({4});
  const LogProbs good{ok, ok};
  expect_error({ok, at::zeros({3})}, good, {.beta = 0.1},
               AllOf(HasSubstr("policy.rejected"), HasSubstr("[4]"), HasSubstr("[3]")));
  expect_error(good, {ok, at::zeros({4}, at::kLong)}, {.beta = 0.1},
               AllOf(HasSubstr("reference.rejected"), HasSubstr("Long")));
  expect_error(good, {Tensor(), ok}, {.beta = 0.1},
               AllOf(HasSubstr("reference.chosen"), HasSubstr("undefined")));
  expect_error({at::zeros({2, 2}), ok}, good, {.beta = 0.1},
               AllOf(HasSubstr("policy.chosen"), HasSubstr("[2, 2]")));
  expect_error({at::zeros({0}), at::zeros({0})}, {at::zeros({0}), at::zeros({0})}, {.beta = 0.1},
               HasSubstr("policy.chosen is empty"));
}

TEST(Loss, NeverBroadcastsAControl) {
  const Tensor ok = at::zeros({4});
  for (const Tensor& beta :
       {at::full({4, 1}, 0.1), at::full({8}, 0.1), at::full({1}, 0.1), at::scalar_tensor(0.1)})
    EXPECT_THAT(
        [&] {
          (void)Loss<>()({ok, ok}, {ok, ok}, {.beta = beta});
        },
        ThrowsMessage<c10::Error>(AllOf(HasSubstr("beta"), HasSubstr("[4]"))));
  EXPECT_THAT(
      [&] {
        (void)Loss<>()({ok, ok}, {ok, ok}, {.beta = at::ones({4}, at::kInt)});
      },
      ThrowsMessage<c10::Error>(AllOf(HasSubstr("beta"), HasSubstr("Int"))));
}

TEST(Loss, RefusesABetaThatIsNotPositiveAndFinite) {
  const Tensor ok = at::zeros({3});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {0.0, -0.1, nan, std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(
        [&] {
          (void)Loss<>()({ok, ok}, {ok, ok}, {.beta = bad});
        },
        ThrowsMessage<c10::Error>(HasSubstr("beta must be finite and > 0")));
    EXPECT_THAT(
        [&] {
          (void)Loss<>()({ok, ok}, {ok, ok}, {.beta = at::tensor({0.1, bad, 0.1})});
        },
        ThrowsMessage<c10::Error>(AllOf(HasSubstr("beta"), HasSubstr("pair 1"))));
  }
  EXPECT_THAT(
      [&] {
        (void)Loss<>()({ok, ok}, {ok, ok}, {.beta = 0.1, .weight = -1.0});
      },
      ThrowsMessage<c10::Error>(HasSubstr("weight must be finite and >= 0")));
  EXPECT_THAT(
      [&] {
        (void)Loss<>()({ok, ok}, {ok, ok}, {.beta = 0.1, .margin = nan});
      },
      ThrowsMessage<c10::Error>(HasSubstr("margin must be finite")));
}

/// A custom objective, (1 − z)².
struct Squared {
  template <class T>
  SP2DPO_HD ZTerm<T> operator()(T z) const {
    return {(1 - z) * (1 - z), -2 * (1 - z)};
  }
};

TEST(Loss, TakesACustomObjective) {
  Golden golden;
  const auto out = Loss<Squared>()(golden.policy, golden.reference, {.beta = golden.beta});
  const Tensor z = golden.beta.detach() * at::tensor({1.6, 0.6, 1.6, 0.6}, golden.options);
  EXPECT_NEAR(out.loss.item<double>(), ((1 - z) * (1 - z)).mean().item<double>(), 1e-14);
  out.loss.backward();
  EXPECT_LT(worst_of(golden.policy.chosen.grad(), golden.beta.detach() * -2 * (1 - z) / 4), 1e-14);
}

/// Compares gradients by all four inputs, and a gradient of a function of them, with libtorch's
/// own.
TEST(Loss, HasACorrectGradientOfItsGradient) {
  at::manual_seed(5);
  for (const auto reduction : {Reduction::none, Reduction::mean}) {
    const auto make = [] { return at::randn({6}, at::kDouble); };
    const LogProbs reference{make(), make()};
    const Tensor weight = at::rand({6}, at::kDouble), upstream_values = at::rand({6}, at::kDouble);
    const std::vector<Tensor> start{make(), make(), at::rand({6}, at::kDouble) + 0.1, make()};
    const std::vector<Tensor> along{make(), make(), make(), make()};
    const auto second = [&](auto&& loss_of) {
      std::vector<Tensor> inputs;
      for (const Tensor& t : start) inputs.push_back(t.clone().requires_grad_());
      const Tensor scale = (reduction == Reduction::none ? upstream_values : upstream_values[0])
                               .clone()
                               .requires_grad_();
      const Tensor loss = (loss_of(inputs) * scale).sum();
      const auto slopes = torch::autograd::grad({loss}, inputs, {}, true, /*create_graph=*/true);
      Tensor mixed = at::zeros({}, at::kDouble);
      for (std::size_t i = 0; i < slopes.size(); ++i) mixed = mixed + (slopes[i] * along[i]).sum();
      inputs.push_back(scale);
      return torch::autograd::grad({mixed}, inputs);
    };
    const auto ours = second([&](const std::vector<Tensor>& x) {
      return Loss<>({.label_smoothing = 0.1}, {.reduction = reduction})(
                 {x[0], x[1]}, reference, {.beta = x[2], .margin = x[3], .weight = weight})
          .loss;
    });
    const auto plain = second([&](const std::vector<Tensor>& x) {
      const Tensor z = x[2] * ((x[0] - reference.chosen) - (x[1] - reference.rejected)) - x[3];
      const Tensor losses = -weight * (0.9 * at::log_sigmoid(z) + 0.1 * at::log_sigmoid(-z));
      return reduction == Reduction::none ? losses : losses.mean();
    });
    for (std::size_t i = 0; i < plain.size(); ++i)
      EXPECT_LT(worst_of(ours[i], plain[i]), 1e-14) << "input " << i;
  }
}

/// Callable with double only.
struct OnceDifferentiable {
  ZTerm<double> operator()(double z) const { return {z * z, 2 * z}; }
};

TEST(Loss, SaysWhyAnObjectiveHasNoGradientOfItsGradient) {
  Golden golden;
  const auto out = Loss<OnceDifferentiable>()(golden.policy, golden.reference, {.beta = 0.1});
  const auto slope = torch::autograd::grad({out.loss}, {golden.policy.chosen}, {}, true, true);
  EXPECT_THAT([&] { (void)torch::autograd::grad({slope[0].sum()}, {golden.policy.chosen}); },
              ThrowsMessage<c10::Error>(
                  AllOf(HasSubstr("OnceDifferentiable"), HasSubstr("no second derivative"))));
}

TEST(Loss, NamesTheObjectiveThatDoesNotSupportAnOption) {
  Golden golden;
  EXPECT_THAT(
      [&] { (void)Loss<NcaPair>()(golden.policy, golden.reference, {.beta = 0.1, .margin = 0.5}); },
      ThrowsMessage<c10::Error>(AllOf(HasSubstr("nca_pair"), HasSubstr("takes no margin"))));
  EXPECT_THAT(
      [&] {
        (void)Loss<>({.label_smoothing = 0.7})(golden.policy, golden.reference, {.beta = 0.1});
      },
      ThrowsMessage<c10::Error>(AllOf(HasSubstr("sigmoid"), HasSubstr("label_smoothing"))));
}

}  // namespace
}  // namespace sp2dpo
