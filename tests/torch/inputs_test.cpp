// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sequences.hpp"
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

void expect_error(const std::function<void()>& call, const std::vector<std::string>& words) {
  try {
    call();
    ADD_FAILURE() << "no error that contains " << words.front();
  } catch (const c10::Error& error) {
    for (const std::string& word : words)
      EXPECT_THAT(error.what_without_backtrace(), HasSubstr(word));
  }
}

/// Calls every level with these controls.
std::vector<std::function<void()>> every_level(const Batch& batch, const Controls& controls) {
  return {[=] { (void)Loss<>()(batch.reference, batch.reference, controls); },
          [=] { (void)Loss<>().value_and_grad(batch.reference, batch.reference, controls); },
          [=] { (void)Loss<>().from_logits(batch.logits, batch.labels, NoReference{}, controls); },
          [=] {
            (void)Loss<>().from_hidden(batch.hidden, batch.weight, {}, batch.labels, NoReference{},
                                       controls);
          }};
}

TEST(Inputs, OfControlsAreNeverAnUndefinedTensor) {
  const Batch batch;
  for (const auto& [name, controls] :
       {std::pair{"beta", Controls{.beta = Tensor()}},
        std::pair{"margin", Controls{.beta = 0.1, .margin = Tensor()}},
        std::pair{"weight", Controls{.beta = batch.beta, .weight = Tensor()}}})
    for (const auto& call : every_level(batch, controls))
      expect_error(call, {std::string(name) + " is an undefined tensor"});
}

TEST(Inputs, OfControlsNameTheRemedyForANarrowType) {
  const Batch batch;
  for (const auto& call : every_level(batch, {.beta = batch.beta.to(at::kBFloat16)}))
    expect_error(call, {"beta must be float32 or float64, not BFloat16", ".to(at::kFloat)"});
}

TEST(Inputs, NameAnUndefinedTensorBeforeAutogradDoes) {
  const Batch batch;
  const Controls controls{.beta = 0.1};
  const auto hidden_call = [&](const Tensor& hidden, const Tensor& weight) {
    return [&, hidden, weight] {
      (void)Loss<>().from_hidden(hidden, weight, {}, batch.labels, NoReference{}, controls);
    };
  };
  expect_error(hidden_call({}, batch.weight), {"hidden is undefined"});
  expect_error(hidden_call(batch.hidden, {}), {"head's weight is undefined"});
  expect_error([&] { (void)Loss<>().from_logits({}, batch.labels, NoReference{}, controls); },
               {"logits is undefined"});
}

TEST(Inputs, OfLazyOrSparseMemoryAreRefused) {
  const Batch batch;
  const Tensor negative = at::imag(at::conj(at::complex(batch.logits, batch.logits)));
  ASSERT_TRUE(negative.is_neg());
  expect_error(
      [&] { (void)Loss<>().from_logits(negative, batch.labels, NoReference{}, {.beta = 0.1}); },
      {"logits", "resolve_neg()"});
  const Tensor beta = at::imag(at::conj(at::complex(batch.beta, -batch.beta)));
  for (const auto& call : every_level(batch, {.beta = beta})) expect_error(call, {"beta"});
  expect_error(
      [&] {
        (void)Loss<>().from_hidden(batch.hidden, batch.weight.to_sparse(), {}, batch.labels,
                                   NoReference{}, {.beta = 0.1});
      },
      {"head's weight", "to_dense()"});
}

TEST(Inputs, OfAReferenceHaveThePolicysVocabulary) {
  const Batch batch;
  const auto logits = [&](std::int64_t columns) { return at::zeros({6, 5, columns}, at::kDouble); };
  const auto head = [&](std::int64_t columns) { return at::zeros({columns, 6}, at::kDouble); };
  const auto both = [&](const Reference& reference, std::optional<std::int64_t> vocab) {
    return std::vector<std::function<void()>>{
        [=, &batch] {
          (void)Loss<>().from_logits(batch.logits, batch.labels, reference, {.beta = 0.1},
                                     {.vocab_size = vocab});
        },
        [=, &batch] {
          (void)Loss<>().from_hidden(batch.hidden, batch.weight, {}, batch.labels, reference,
                                     {.beta = 0.1}, {.vocab_size = vocab});
        }};
  };
  for (const std::int64_t columns : {10, 12, 22}) {
    for (const auto& call : both(ReferenceLogits{logits(columns)}, {}))
      expect_error(call, {"reference.logits", "vocabulary of " + std::to_string(columns), "11"});
    for (const auto& call : both(ReferenceHidden{batch.hidden, head(columns)}, {}))
      expect_error(call, {"reference.head_weight", "vocabulary of " + std::to_string(columns)});
  }
  // Padding may differ.
  for (const auto& call : both(ReferenceLogits{logits(16)}, 11)) call();
  for (const auto& call : both(ReferenceHidden{batch.hidden, head(16)}, 11)) call();
}

TEST(Inputs, OfObjectivesOfMeansAreNotSums) {
  const Batch batch;
  const LogProbs sums = batch.reference, means{sums.chosen, sums.rejected, true};
  const auto check = [&](const auto& loss, const char* name) {
    expect_error([&] { (void)loss(sums, sums, {.beta = 0.1}); }, {name, "averaged"});
    expect_error([&] { (void)loss.value_and_grad(sums, sums, {.beta = 0.1}); }, {name});
    (void)loss(means, means, {.beta = 0.1});
  };
  check(Loss<Ipo>(), "ipo");
  check(Loss<SigmoidNorm>(), "sigmoid_norm");
  (void)Loss<>()(sums, sums, {.beta = 0.1});
}

TEST(GradientMemory, ThatOverlapsIsRefused) {
  const Batch batch;
  const Tensor labels = at::randint(11, {6, 5}, at::kLong);
  const auto run = [&](const Tensor& logits, const Tensor& buffer, bool in_place = false) {
    const LogitsOptions how{.gradient_buffer = buffer, .gradient_in_place = in_place};
    const auto autograd = [=] {
      (void)Loss<>().from_logits(logits, labels, NoReference{}, {.beta = 0.1}, how);
    };
    const auto at_once = [=] {
      (void)Loss<>().value_and_grad_from_logits(logits, labels, NoReference{}, {.beta = 0.1}, how);
    };
    return std::vector<std::function<void()>>{autograd, at_once};
  };
  const Tensor wide = at::zeros({6, 5, 40}, at::kDouble);
  const Tensor memory = at::zeros({400}, at::kDouble);
  const auto at_offset = [&](std::int64_t offset) {
    return memory.as_strided({6, 5, 11}, {55, 11, 1}, offset);
  };
  for (const auto& [logits, buffer] :
       {std::pair{batch.logits, batch.logits.detach()},  // the same
        {at_offset(0), at_offset(5)},
        {at_offset(7), at_offset(0)},                                               // shifted
        {at_offset(0), memory.narrow(0, 0, 330).view({5, 6, 11}).transpose(0, 1)},  // interleaved
        {wide.narrow(2, 0, 11), wide.narrow(2, 10, 11)},                            // by a column
        {batch.logits, at::zeros({1, 5, 11}, at::kDouble).expand({6, 5, 11})},      // by itself
        {batch.logits, at::zeros({6, 1, 11}, at::kDouble).expand({6, 5, 11})},
        {batch.logits, memory.as_strided({6, 5, 11}, {50, 10, 1})}})
    for (const auto& call : run(logits, buffer)) expect_error(call, {"gradient_buffer"});
  for (const auto& call :
       run(at::zeros({6, 1, 11}, at::kDouble).expand({6, 5, 11}), {}, /*in_place=*/true))
    expect_error(call, {"logits", "share memory"});
  // Neighbours do not overlap.
  for (const auto& [logits, buffer] :
       {std::pair{wide.narrow(2, 0, 11), wide.narrow(2, 11, 11)},
        {wide.narrow(2, 20, 11), wide.narrow(2, 0, 11)},
        {at::zeros({12, 5, 11}, at::kDouble).narrow(0, 0, 6), batch.logits.clone()}})
    for (const auto& call : run(logits, buffer)) call();
  const Tensor twelve = at::zeros({12, 5, 11}, at::kDouble);
  for (const auto& call : run(twelve.slice(0, 0, 12, 2), twelve.slice(0, 1, 12, 2))) call();
}

TEST(GradientMemory, HasANewVersionWhenItIsWritten) {
  const Batch batch;
  const Tensor buffer = at::zeros_like(batch.logits), factor = leaf(batch.logits);
  const Tensor product = factor * buffer;  // saves the buffer
  Loss<>()
      .from_logits(leaf(batch.logits), batch.labels, NoReference{}, {.beta = 0.1},
                   {.gradient_buffer = buffer})
      .loss.backward();
  expect_error([&] { product.sum().backward(); }, {"modified by an inplace operation"});

  const Batch narrow(at::kFloat);
  const Tensor sum = at::zeros({11, 6}), other = leaf(at::zeros({11, 6}));
  const Tensor saved = other * sum;
  (void)Loss<>().from_hidden(leaf(narrow.hidden), narrow.weight, {}, narrow.labels, NoReference{},
                             {.beta = 0.1}, {.main_grad = sum});
  expect_error([&] { saved.sum().backward(); }, {"modified by an inplace operation"});
}

TEST(MainGrad, IsLeftAloneWhereNoGradientIsWanted) {
  const Batch batch(at::kFloat);
  const Tensor sum = at::zeros({11, 6});
  const HiddenOptions how{.main_grad = sum};
  {
    const c10::NoGradGuard evaluation;
    (void)Loss<>().from_hidden(batch.hidden, batch.weight, {}, batch.labels, NoReference{},
                               {.beta = 0.1}, how);
    (void)Loss<>({}, {.reduction = Reduction::none})
        .from_hidden(batch.hidden, batch.weight, {}, batch.labels, NoReference{}, {.beta = 0.1},
                     how);
  }
  (void)Loss<>().value_and_grad_from_hidden(batch.hidden, batch.weight, {}, batch.labels,
                                            NoReference{}, {.beta = 0.1}, how, /*need_dw=*/false);
  EXPECT_EQ(sum.abs().max().item<double>(), 0);
  expect_error(
      [&] {
        (void)Loss<>({}, {.reduction = Reduction::none})
            .from_hidden(batch.hidden, batch.weight, {}, batch.labels, NoReference{}, {.beta = 0.1},
                         how);
      },
      {"only the reduced loss"});
  (void)Loss<>().value_and_grad_from_hidden(batch.hidden, batch.weight, {}, batch.labels,
                                            NoReference{}, {.beta = 0.1}, how);
  EXPECT_GT(sum.abs().max().item<double>(), 0);
}

TEST(MainGrad, ThatOverlapsIsRefused) {
  const Batch batch(at::kFloat);
  const auto run = [&](const Tensor& sum) {
    return [&, sum] {
      (void)Loss<>().from_hidden(batch.hidden, batch.weight, {}, batch.labels, NoReference{},
                                 {.beta = 0.1}, {.main_grad = sum});
    };
  };
  expect_error(run(batch.weight), {"main_grad", "shares memory"});
  expect_error(run(at::zeros({1, 6}).expand({11, 6})), {"main_grad", "share memory"});
}

TEST(SecondDerivative, OfChangedConstantsIsRefused) {
  const Batch batch;
  for (const int changed : {0, 1, 2}) {
    const LogProbs reference{batch.reference.chosen.clone(), batch.reference.rejected.clone()};
    const Tensor weight = batch.share.clone();
    const Tensor chosen = leaf(batch.reference.chosen), rejected = leaf(batch.reference.rejected);
    const auto out =
        Loss<>()({chosen, rejected}, reference, {.beta = batch.beta, .weight = weight});
    const auto slope = torch::autograd::grad({out.loss}, {chosen}, {}, true, true);
    (changed == 0 ? reference.chosen : changed == 1 ? reference.rejected : weight).mul_(2);
    expect_error([&] { (void)torch::autograd::grad({slope[0].sum()}, {chosen}); },
                 {changed == 2 ? "weight" : "reference.", "changed in place"});
  }
}

}  // namespace
}  // namespace sp2dpo
