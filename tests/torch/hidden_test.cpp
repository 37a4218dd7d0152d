// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sequences.hpp"
#include <gmock/gmock.h>

namespace sp2dpo {
namespace {

class FromHidden : public ::testing::TestWithParam<std::tuple<at::ScalarType, std::int64_t>> {};

/// Compares with the same loss from logits in double. With a small workspace each pair is a chunk;
/// with a tiny one every pair is longer than a chunk.
TEST_P(FromHidden, AgreesWithTheLossFromLogits) {
  const auto [dtype, bytes] = GetParam();
  for (const bool opposite : {true, false}) {
    const Batch batch(dtype);
    const Loss<> loss({}, {.average_log_prob = !opposite, .nll_coefficient = opposite ? 0 : 0.3});
    const Controls controls{.beta = batch.beta, .margin = batch.margin, .weight = batch.share};
    const Tensor hidden = leaf(batch.hidden), weight = leaf(batch.weight), bias = leaf(batch.bias);
    const auto out = loss.from_hidden(hidden, weight, bias, batch.labels, batch.reference, controls,
                                      {.workspace_bytes = bytes});
    (out.loss * 3).backward();

    const Tensor h = leaf(batch.hidden.to(at::kDouble)), w = leaf(batch.weight.to(at::kDouble)),
                 b = leaf(batch.bias.to(at::kDouble));
    const auto plain =
        loss.from_logits(at::matmul(h, w.t()) + b, batch.labels, batch.reference, controls);
    (plain.loss * 3).backward();

    const double step = dtype == at::kDouble ? 1e-12 : dtype == at::kFloat ? 1e-5 : 3e-2;
    const auto near = [&](const Tensor& got, const Tensor& wanted) {
      EXPECT_LT(worst(got, wanted), step * wanted.abs().max().item<double>());
    };
    near(out.loss, plain.loss);
    near(out.chosen_logps(), plain.chosen_logps());
    near(out.rejected_logps(), plain.rejected_logps());
    near(hidden.grad(), h.grad());
    near(weight.grad(), w.grad());
    near(bias.grad(), b.grad());
    EXPECT_EQ(hidden.grad().scalar_type(), dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(DTypesWorkspaces, FromHidden,
                         ::testing::Combine(::testing::Values(at::kDouble, at::kFloat,
                                                              at::kBFloat16),
                                            ::testing::Values(std::int64_t{1} << 20, 1500, 1)));

TEST(FromHidden, GivesTheSameGradientAgainFromARetainedGraph) {
  const Batch batch(at::kFloat);
  const Tensor hidden = leaf(batch.hidden), weight = leaf(batch.weight);
  const auto out =
      Loss<>().from_hidden(hidden, weight, {}, batch.labels, batch.reference, {.beta = batch.beta});
  const auto gradient = [&](bool retain) {
    const auto upstream = at::full({}, 0.5, at::kFloat);
    out.loss.backward(upstream, retain);
    const auto result = std::pair(hidden.grad().clone(), weight.grad().clone());
    // The caller may change what was returned.
    hidden.grad().fill_(7), weight.grad().fill_(7);
    hidden.mutable_grad().reset(), weight.mutable_grad().reset();
    return result;
  };
  const auto first = gradient(true), second = gradient(true), last = gradient(false);
  EXPECT_GT(first.second.abs().max().item<double>(), 0);
  for (const auto& other : {second, last}) {
    EXPECT_TRUE(at::equal(other.first, first.first));
    EXPECT_TRUE(at::equal(other.second, first.second));
  }
}

/// Bit-identical for one plan; the order in which libtorch's products sum differs between plans.
TEST(FromHidden, IsReproducibleAndNearlyEqualForEveryChunkSize) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    at::manual_seed(5);
    const std::int64_t pairs = 8, length = 8, vocab = 301, width = 64;
    const Tensor hidden = at::randn({2 * pairs, length, width}).to(dtype);
    const Tensor weight = at::randn({vocab, width}).to(dtype);
    const Tensor labels = at::randint(vocab, {2 * pairs, length}, at::kLong);
    const std::int64_t row_bytes = (dtype == at::kDouble ? 8 : 4) * (vocab + 2 * width);
    const auto by_chunks_of = [&](std::int64_t rows) {
      return Loss<>().value_and_grad_from_hidden(hidden, weight, {}, labels, NoReference{},
                                                 {.beta = 0.1},
                                                 {.workspace_bytes = rows * row_bytes});
    };
    const auto parts_of = [](const HiddenGradient& x) {
      return std::vector{x.output.loss, x.output.chosen_logps(), x.hidden, x.head_weight};
    };
    const auto whole = parts_of(by_chunks_of(2 * pairs * length));
    for (const std::int64_t rows : {16, 32, 48, 64}) {
      const auto parts = parts_of(by_chunks_of(rows)), again = parts_of(by_chunks_of(rows));
      for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_TRUE(at::equal(parts[i], again[i])) << rows << " rows, part " << i;
        EXPECT_LT((parts[i] - whole[i]).norm().item<double>(),
                  1e-6 * whole[i].norm().item<double>())
            << rows << " rows, part " << i;
      }
    }
  }
}

/// A head of 4.5 million numbers is more than one part of the product in 16 bits.
TEST(FromHidden, AccumulatesTheGradientOfALargeHeadInParts) {
  at::manual_seed(9);
  const std::int64_t vocab = 70001, width = 64, rows = 16;
  const Tensor hidden = at::randn({4, rows / 4, width}).to(at::kBFloat16);
  const Tensor weight = (at::randn({vocab, width}) / 8).to(at::kBFloat16);
  const Tensor labels = at::randint(vocab, {4, rows / 4}, at::kLong);
  const auto gradient = [&](const Tensor& h, const Tensor& w, std::int64_t bytes) {
    return Loss<>()
        .value_and_grad_from_hidden(h, w, {}, labels, NoReference{}, {.beta = 0.1},
                                    {.workspace_bytes = bytes})
        .head_weight.to(at::kDouble);
  };
  const Tensor exact = gradient(hidden.to(at::kDouble), weight.to(at::kDouble), 1 << 30);
  const Tensor got = gradient(hidden, weight, 8 * 2 * (vocab + 2 * width));
  EXPECT_LT((got - exact).norm().item<double>(), 1e-2 * exact.norm().item<double>());
}

TEST(FromHidden, GivesGradientsToBetaAndMargin) {
  const Batch batch;
  const Tensor beta = leaf(batch.beta), margin = leaf(batch.margin);
  Loss<>()
      .from_hidden(batch.hidden, batch.weight, {}, batch.labels, batch.reference,
                   {.beta = beta, .margin = margin})
      .loss.backward();
  const Tensor b = leaf(batch.beta), m = leaf(batch.margin);
  Loss<>()
      .from_logits(at::matmul(batch.hidden, batch.weight.t()), batch.labels, batch.reference,
                   {.beta = b, .margin = m})
      .loss.backward();
  EXPECT_LT(worst(beta.grad(), b.grad()), 1e-13);
  EXPECT_LT(worst(margin.grad(), m.grad()), 1e-13);
}

TEST(FromHidden, TakesTheReferenceAsHiddenStatesOfAnotherWidth) {
  const Batch batch;
  const Tensor other = at::randn({6, 5, 4}, at::kDouble), head = at::randn({11, 4}, at::kDouble);
  const auto out = Loss<>().from_hidden(batch.hidden, batch.weight, {}, batch.labels,
                                        ReferenceHidden{other, head}, {.beta = 0.1});
  const auto plain =
      Loss<>().from_hidden(batch.hidden, batch.weight, {}, batch.labels,
                           ReferenceLogits{at::matmul(other, head.t())}, {.beta = 0.1});
  (void)plain;
  EXPECT_LT(
      worst(out.loss, Loss<>()
                          .from_logits(at::matmul(batch.hidden, batch.weight.t()), batch.labels,
                                       ReferenceLogits{at::matmul(other, head.t())}, {.beta = 0.1})
                          .loss),
      1e-13);
}

TEST(FromHidden, AddsTheHeadsGradientToMainGrad) {
  const Batch batch(at::kFloat);
  const Tensor weight = leaf(batch.weight);
  const Controls controls{.beta = 0.1};
  Loss<>()
      .from_hidden(batch.hidden, weight, {}, batch.labels, batch.reference, controls)
      .loss.backward();
  const Tensor sum = at::ones({11, 6}, at::kFloat);
  const Tensor other = leaf(batch.weight);
  const auto out = Loss<>().from_hidden(leaf(batch.hidden), other, {}, batch.labels,
                                        batch.reference, controls, {.main_grad = sum});
  EXPECT_LT(worst(sum, 1 + weight.grad()), 1e-6);
  out.loss.backward();
  EXPECT_FALSE(other.grad().defined());
}

TEST(FromHidden, GivesPaddedRowsOfTheHeadZeroGradient) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16})
    for (const std::int64_t bytes : {std::int64_t{1} << 20, std::int64_t{1}}) {
      const Batch batch(dtype);
      const Tensor padded = at::full({16, 6}, std::nan(""), at::kDouble).to(dtype);
      padded.narrow(0, 0, 11).copy_(batch.weight);
      const Tensor bias = at::zeros({16}, at::kDouble).to(dtype);
      bias.narrow(0, 0, 11).copy_(batch.bias);
      const Tensor weight = leaf(batch.weight), wide = leaf(padded), wide_bias = leaf(bias);
      const Controls controls{.beta = 0.1};
      const auto plain =
          Loss<>().from_hidden(batch.hidden, weight, batch.bias, batch.labels, batch.reference,
                               controls, {.workspace_bytes = bytes});
      const auto out =
          Loss<>().from_hidden(batch.hidden, wide, wide_bias, batch.labels, batch.reference,
                               controls, {.vocab_size = 11, .workspace_bytes = bytes});
      plain.loss.backward();
      out.loss.backward();
      EXPECT_TRUE(at::equal(out.loss, plain.loss));
      EXPECT_TRUE(at::equal(wide.grad().narrow(0, 0, 11), weight.grad()));
      EXPECT_EQ(wide.grad().narrow(0, 11, 5).abs().max().item<double>(), 0);
      EXPECT_EQ(wide_bias.grad().narrow(0, 11, 5).abs().max().item<double>(), 0);
    }
}

TEST(FromHidden, LeavesOutTheHeadsGradientOnRequest) {
  const Batch batch;
  const auto all = Loss<>().value_and_grad_from_hidden(
      batch.hidden, batch.weight, batch.bias, batch.labels, batch.reference, {.beta = 0.1});
  const auto some =
      Loss<>().value_and_grad_from_hidden(batch.hidden, batch.weight, batch.bias, batch.labels,
                                          batch.reference, {.beta = 0.1}, {}, false);
  EXPECT_TRUE(at::equal(all.hidden, some.hidden));
  EXPECT_TRUE(all.head_weight.defined() && all.head_bias.defined());
  EXPECT_FALSE(some.head_weight.defined() || some.head_bias.defined());
}

/// Rows of one token each, whose logits are N(0, 2²) about a row's own offset N(8, 4²), the label's
/// raised by some 10: what a trained model gives.
TEST(FromHidden, IsTenTimesMoreExactThanLogitsInBf16) {
  at::manual_seed(3);
  const std::int64_t rows = 512, vocab = 32000, width = 64;
  const Tensor labels = at::randint(vocab, {rows, 1}, at::kLong);
  Tensor weight = at::randn({vocab, width + 1}) * (2 / std::sqrt(static_cast<double>(width)));
  weight.select(1, width).fill_(1);
  Tensor hidden = at::randn({rows, width + 1});
  hidden += weight.index_select(0, labels.flatten()) * (at::randn({rows, 1}) * 0.75 + 2.5);
  hidden.select(1, width).copy_(at::randn({rows}) * 4 + 8);
  weight = weight.to(at::kBFloat16);
  hidden = hidden.to(at::kBFloat16).unsqueeze(1);

  const Tensor logits = at::matmul(hidden.to(at::kDouble), weight.to(at::kDouble).t());
  const Tensor exact = plain_log_probs(logits, labels);
  const Controls controls{.beta = 0.1};
  const auto error = [&](const LossOutput& out) {
    const Tensor got = at::cat({out.chosen_logps(), out.rejected_logps()}).to(at::kDouble);
    EXPECT_LE(got.max().item<double>(), 0);
    return (got - exact).square().mean().sqrt().item<double>();
  };
  const double from_logits =
      error(Loss<>().from_logits(logits.to(at::kBFloat16), labels, NoReference{}, controls));
  const double from_hidden =
      error(Loss<>().from_hidden(hidden, weight, {}, labels, NoReference{}, controls));
  const double precise = error(
      Loss<>().from_hidden(hidden, weight, {}, labels, NoReference{}, controls, {.precise = true}));
  EXPECT_LT(from_hidden, from_logits / 10);
  EXPECT_LT(precise, from_hidden / 10);
  RecordProperty("rms_error_ratio", std::to_string(from_logits / from_hidden));
}

}  // namespace
}  // namespace sp2dpo
