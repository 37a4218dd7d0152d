// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "autocast.hpp"
#include "sequences.hpp"
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

namespace sp2dpo {
namespace {

constexpr at::ScalarType all_types[] = {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};
/// All pairs in one chunk, a pair in each, and pairs longer than a chunk.
constexpr std::int64_t workspaces[] = {1 << 20, 1500, 1};

double norm_of(const Tensor& t) {
  return t.to(at::kDouble).norm().item<double>();
}

/// What training on a batch of one type gives: losses, log-probabilities and gradients.
struct Trained {
  std::vector<Tensor> numbers;

  Trained(at::ScalarType dtype, std::int64_t bytes, const Reference& reference,
          const HiddenOptions& how, const Tensor& upstream = {}) {
    const Batch batch(dtype);
    const Tensor hidden = leaf(batch.hidden), weight = leaf(batch.weight), bias = leaf(batch.bias);
    HiddenOptions options = how;
    options.workspace_bytes = bytes;
    const auto out = Loss<>().from_hidden(hidden, weight, bias, batch.labels, reference,
                                          {.beta = batch.beta}, options);
    out.loss.backward(upstream.defined() ? upstream : at::ones({}, out.loss.options()));
    numbers = {out.loss,      out.chosen_logps(), out.rejected_logps(), out.chosen_rewards(),
               hidden.grad(), weight.grad(),      bias.grad()};
  }
};

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].scalar_type(), wanted[i].scalar_type()) << "number " << i;
    EXPECT_TRUE(at::equal(got[i], wanted[i])) << "number " << i;
  }
}

TEST(Autocast, ChangesNoBitOfALossFromHiddenStates) {
  for (const auto dtype : all_types)
    for (const auto bytes : workspaces)
      for (const bool precise : {false, true}) {
        SCOPED_TRACE(testing::Message() << dtype << ", " << bytes << " bytes, " << precise);
        const Batch batch(dtype);
        for (const Reference& reference :
             {Reference(batch.reference),
              Reference(ReferenceHidden{batch.hidden * 0.5, batch.weight}),
              Reference(ReferenceLogits{batch.logits})}) {
          const Trained plain(dtype, bytes, reference, {.precise = precise});
          const Autocast autocast;
          expect_same(Trained(dtype, bytes, reference, {.precise = precise}).numbers,
                      plain.numbers);
        }
      }
}

TEST(Autocast, ChangesNoBitOfAGradientWithoutAutograd) {
  for (const auto dtype : all_types) {
    const Batch batch(dtype);
    const auto run = [&] {
      const auto x =
          Loss<>().value_and_grad_from_hidden(batch.hidden, batch.weight, batch.bias, batch.labels,
                                              batch.reference, {.beta = batch.beta});
      const auto y = Loss<>().value_and_grad_from_logits(
          batch.logits, batch.labels, ReferenceHidden{batch.hidden, batch.weight},
          {.beta = batch.beta});
      return std::vector{x.output.loss, x.hidden,      x.head_weight,
                         x.head_bias,   y.output.loss, y.logits};
    };
    const auto plain = run();
    const Autocast autocast;
    expect_same(run(), plain);
  }
}

TEST(Autocast, ChangesNoBitOfALossFromLogitsOrLogProbs) {
  for (const auto dtype : all_types) {
    const Batch batch(dtype);
    const auto run = [&] {
      const Tensor logits = leaf(batch.logits), chosen = leaf(batch.logits[0][0]),
                   rejected = leaf(batch.logits[1][0]);
      const auto out = Loss<>().from_logits(logits, batch.labels, batch.reference,
                                            {.beta = batch.beta, .margin = batch.margin});
      const auto level1 =
          Loss<>()({chosen, rejected}, {batch.logits[2][0], batch.logits[3][0]}, {.beta = 0.2});
      out.loss.backward(), level1.loss.backward();
      return std::vector{out.loss, logits.grad(), level1.loss, chosen.grad(), rejected.grad()};
    };
    const auto plain = run();
    const Autocast autocast;
    expect_same(run(), plain);
  }
}

/// Upstream gradients as accumulation and loss scaling give them, which 16-bit types do not hold.
const double upstreams[] = {1.0 / 3, 0.1, 1e-3, 1.0 / 7, 65536, 70001};

/// The gradient by each upstream is that of the upstream 1 times the number, rounded once.
TEST(UpstreamGradient, IsNotRoundedToTheTypeOfTheStates) {
  for (const auto dtype : {at::kBFloat16, at::kFloat, at::kDouble})
    for (const auto bytes : workspaces) {
      const Batch batch(dtype);
      const Trained plain(dtype, bytes, batch.reference, {});
      for (const double number : upstreams) {
        const Tensor upstream =
            at::full({}, number, at::TensorOptions(plain.numbers[0].scalar_type()));
        const Trained scaled(dtype, bytes, batch.reference, {}, upstream);
        for (const std::size_t i : {4u, 5u, 6u})
          EXPECT_TRUE(
              at::equal(scaled.numbers[i],
                        (plain.numbers[i].to(at::kDouble) * upstream.to(at::kDouble)).to(dtype)))
              << dtype << ", " << bytes << " bytes, " << number << ", number " << i;
      }
    }
}

TEST(UpstreamGradient, MayExceedFloat16) {
  for (const auto bytes : workspaces)
    for (const bool precise : {false, true}) {
      const Batch batch(at::kHalf);
      const Trained exact(at::kDouble, bytes, batch.reference, {});
      for (const double number : upstreams) {
        const Tensor upstream = at::full({}, number, at::kFloat);
        const Trained scaled(at::kHalf, bytes, batch.reference, {.precise = precise}, upstream);
        for (const std::size_t i : {4u, 5u, 6u})
          EXPECT_NEAR(norm_of(scaled.numbers[i]), number * norm_of(exact.numbers[i]),
                      2e-3 * number * norm_of(exact.numbers[i]))
              << bytes << " bytes, " << number << ", number " << i;
      }
    }
}

TEST(UpstreamGradient, IsTheSameFromARetainedGraphAndFromOperators) {
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    const Batch batch(dtype);
    const Tensor hidden = leaf(batch.hidden), weight = leaf(batch.weight);
    const auto out = Loss<>().from_hidden(hidden, weight, {}, batch.labels, batch.reference,
                                          {.beta = batch.beta});
    const Tensor upstream = at::full({}, 1.0 / 3, at::kFloat);
    const auto first = torch::autograd::grad({out.loss}, {hidden, weight}, {upstream}, true);
    const auto last = torch::autograd::grad({out.loss}, {hidden, weight}, {upstream});
    expect_same(first, last);
    EXPECT_EQ(first[0].scalar_type(), dtype);
  }
}

/// Rows of one token over a vocabulary whose probabilities times the pairs' slopes float16 lacks.
TEST(Float16, KeepsGradientsThatALossScaleSaves) {
  at::manual_seed(2);
  const std::int64_t pairs = 48, vocab = 30000, width = 16;
  for (const std::int64_t length : {1, 3}) {
    const Tensor hidden = at::randn({2 * pairs, length, width}).to(at::kHalf);
    const Tensor weight = (at::randn({vocab, width}) / 8).to(at::kHalf);
    const Tensor labels = at::randint(vocab, {2 * pairs, length}, at::kLong);
    const Tensor others = at::ones({vocab}, at::kBool).index_fill(0, labels.flatten(), 0);
    const auto gradients = [&](at::ScalarType dtype, std::int64_t bytes, double scale) {
      const Tensor h = leaf(hidden.to(dtype)), w = leaf(weight.to(dtype));
      const auto out = Loss<>().from_hidden(h, w, {}, labels, NoReference{}, {.beta = 0.03},
                                            {.workspace_bytes = bytes});
      (out.loss * scale).backward();
      return std::vector{h.grad().to(at::kDouble) / scale,
                         w.grad().to(at::kDouble).index({others}) / scale};
    };
    const auto exact = gradients(at::kDouble, 1 << 30, 1);
    for (const std::int64_t bytes : {std::int64_t{1} << 30, 40 * vocab, std::int64_t{1}}) {
      const auto got = gradients(at::kHalf, bytes, 32768);
      for (std::size_t i = 0; i < got.size(); ++i)
        EXPECT_LT(norm_of(got[i] - exact[i]), 1e-2 * norm_of(exact[i]))
            << "length " << length << ", " << bytes << " bytes, gradient " << i;
    }
  }
}

/// Sums that are in range must stay so, whatever helps the small numbers.
TEST(Float16, KeepsLargeGradientsInRange) {
  const std::int64_t rows = 600, vocab = 50, width = 8;
  const Tensor hidden = at::full({2, rows, width}, 12.0, at::kHalf);
  const Tensor weight = (at::randn({vocab, width}) * 3).to(at::kHalf);
  const Tensor labels = at::full({2, rows}, 7, at::kLong);
  labels[1].fill_(9);
  const Tensor h = leaf(hidden), w = leaf(weight);
  Loss<>({}, {.reduction = Reduction::sum})
      .from_hidden(h, w, {}, labels, NoReference{}, {.beta = 0.5})
      .loss.backward();
  EXPECT_TRUE(at::isfinite(h.grad()).all().item<bool>());
  EXPECT_TRUE(at::isfinite(w.grad()).all().item<bool>());
  EXPECT_GT(w.grad().abs().max().item<double>(), 1000);
}

TEST(Precise, AppliesToTheReferenceToo) {
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat})
    for (const auto bytes : workspaces)
      for (const bool precise : {false, true}) {
        const Batch batch(dtype, 301);
        const auto out = Loss<>().from_hidden(
            batch.hidden, batch.weight, batch.bias, batch.labels,
            ReferenceHidden{batch.hidden.clone(), batch.weight.clone(), batch.bias.clone()},
            {.beta = batch.beta}, {.workspace_bytes = bytes, .precise = precise});
        EXPECT_LT(out.log_ratios().abs().max().item<double>(), precise ? 1e-5 : 1e-12)
            << dtype << ", " << bytes << " bytes, " << precise;
      }
}

}  // namespace
}  // namespace sp2dpo
