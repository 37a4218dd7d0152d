// SPDX-License-Identifier: Apache-2.0
#include "sequences.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "reduced.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class FromLogits : public ::testing::TestWithParam<std::tuple<at::ScalarType, bool, Reduction>> {};

TEST_P(FromLogits, AgreesWithTheCompositionOfLibtorchsOperations) {
  const auto [dtype, average, reduction] = GetParam();
  const Batch batch(dtype);
  const Tensor logits = leaf(batch.logits), beta = leaf(batch.beta), margin = leaf(batch.margin);
  const Loss<> loss({}, {.reduction = reduction, .average_log_prob = average});
  LogProbs reference = batch.reference;
  reference.averaged = average;
  const auto out = loss.from_logits(logits, batch.labels, reference,
                                    {.beta = beta, .margin = margin, .weight = batch.share});

  const Tensor plain = leaf(batch.logits.to(at::kDouble)), plain_beta = leaf(batch.beta),
               plain_margin = leaf(batch.margin);
  const Tensor log_probs = plain_log_probs(plain, batch.labels, average);
  const Tensor losses =
      batch.share * plain_loss(log_probs.narrow(0, 0, 3), log_probs.narrow(0, 3, 3),
                               batch.reference, plain_beta, plain_margin);
  const Tensor expected = test::reduced(losses, reduction);
  const Tensor upstream = at::rand(expected.sizes(), at::kDouble) + 0.5;
  (out.loss * upstream).sum().backward();
  (expected * upstream).sum().backward();

  const double wide = dtype == at::kDouble ? 1e-13 : 1e-5;
  EXPECT_LT(worst(out.loss, expected), wide);
  EXPECT_LT(worst(out.losses(), losses), wide);
  EXPECT_LT(worst(out.chosen_logps(), log_probs.narrow(0, 0, 3)), wide);
  EXPECT_LT(worst(out.rejected_logps(), log_probs.narrow(0, 3, 3)), wide);
  EXPECT_EQ(logits.grad().scalar_type(), dtype);
  EXPECT_LT(worst(logits.grad(), plain.grad()),
            tolerance(dtype) * plain.grad().abs().max().item<double>());
  EXPECT_LT(worst(beta.grad(), plain_beta.grad()), wide * 10);
  EXPECT_LT(worst(margin.grad(), plain_margin.grad()), wide);
  const Tensor untouched = logits.grad().masked_select((batch.labels == masked).unsqueeze(-1));
  EXPECT_EQ(untouched.abs().max().item<double>(), 0);  // masked rows: exactly zero
}

INSTANTIATE_TEST_SUITE_P(
    DTypesAveragesReductions, FromLogits,
    ::testing::Combine(::testing::Values(at::kDouble, at::kFloat, at::kHalf, at::kBFloat16),
                       ::testing::Bool(),
                       ::testing::Values(Reduction::none, Reduction::mean, Reduction::sum)));

TEST(FromLogits, EqualsTheLossOfTheLogProbsThatItReturns) {
  const Batch batch;
  const auto out =
      Loss<>().from_logits(batch.logits, batch.labels, batch.reference, {.beta = batch.beta});
  const auto below =
      Loss<>()({out.chosen_logps(), out.rejected_logps()}, batch.reference, {.beta = batch.beta});
  EXPECT_TRUE(at::equal(out.loss, below.loss));
  EXPECT_EQ(out.metrics(), below.metrics());
}

TEST(FromLogits, IsBitIdenticalAcrossLayouts) {
  const Batch batch;
  const Loss<> loss;
  const Controls controls{.beta = batch.beta};
  const auto halves = loss.from_logits(batch.logits, batch.labels, batch.reference, controls);

  const auto weave = [](const Tensor& t) {
    return at::stack({t.narrow(0, 0, 3), t.narrow(0, 3, 3)}, 1).flatten(0, 1);
  };
  const auto interleaved =
      loss.from_logits(weave(batch.logits), weave(batch.labels), batch.reference, controls,
                       {.layout = {Sequences::Layout::interleaved}});
  EXPECT_TRUE(at::equal(halves.losses(), interleaved.losses()));

  const auto order = at::tensor(std::vector<std::int64_t>{4, 0, 5, 2, 1, 3});
  const Tensor chosen = at::tensor(std::vector<std::int64_t>{1, 4, 3});    // where 0, 1, 2 went
  const Tensor rejected = at::tensor(std::vector<std::int64_t>{5, 0, 2});  // where 3, 4, 5 went
  const auto listed = loss.from_logits(
      batch.logits.index_select(0, order), batch.labels.index_select(0, order), batch.reference,
      controls, {.layout = {Sequences::Layout::listed, chosen, rejected}});
  EXPECT_TRUE(at::equal(halves.losses(), listed.losses()));

  const auto bounds = at::arange(0, 31, 5, at::kLong);
  const auto packed =
      loss.from_logits(batch.logits.flatten(0, 1), batch.labels.flatten(), batch.reference,
                       controls, {.layout = {Sequences::Layout::halves, {}, {}, bounds}});
  EXPECT_TRUE(at::equal(halves.losses(), packed.losses()));

  const Tensor sequence_first = batch.logits.transpose(0, 1).contiguous().transpose(0, 1);
  ASSERT_FALSE(sequence_first.is_contiguous());
  const auto strided = loss.from_logits(sequence_first, batch.labels, batch.reference, controls);
  EXPECT_TRUE(at::equal(halves.losses(), strided.losses()));
}

TEST(FromLogits, WritesItsGradientToTheGivenBuffer) {
  const Batch batch;
  const Controls controls{.beta = batch.beta};
  const Loss<> loss;
  const Tensor fresh = leaf(batch.logits);
  loss.from_logits(fresh, batch.labels, batch.reference, controls).loss.backward();

  const Tensor buffered = leaf(batch.logits);
  const Tensor buffer = at::full_like(batch.logits, std::nan(""));
  loss.from_logits(buffered, batch.labels, batch.reference, controls, {.gradient_buffer = buffer})
      .loss.backward();
  EXPECT_TRUE(at::equal(buffer, fresh.grad()));

  const Tensor base = leaf(batch.logits);
  const Tensor in_place = base * 1;
  loss.from_logits(in_place, batch.labels, batch.reference, controls, {.gradient_in_place = true})
      .loss.backward();
  EXPECT_TRUE(at::equal(in_place, fresh.grad()));
  EXPECT_TRUE(at::equal(base.grad(), fresh.grad()));
}

TEST(FromLogits, RaisesIfOverwrittenLogitsAreStillNeeded) {
  const Batch batch;
  const Tensor base = leaf(batch.logits);
  const Tensor logits = at::tanh(base);  // keeps its result for backward
  const auto out = Loss<>().from_logits(logits, batch.labels, batch.reference, {.beta = 0.1},
                                        {.gradient_in_place = true});
  EXPECT_THAT([&] { out.loss.backward(); },
              ThrowsMessage<c10::Error>(HasSubstr("modified by an inplace operation")));

  const Tensor again = leaf(batch.logits) * 1;
  const auto twice = Loss<>().from_logits(again, batch.labels, batch.reference, {.beta = 0.1},
                                          {.gradient_in_place = true});
  twice.loss.backward({}, /*retain_graph=*/true);
  EXPECT_THAT([&] { twice.loss.backward(); },
              ThrowsMessage<c10::Error>(HasSubstr("modified by an inplace operation")));
}

TEST(FromLogits, IgnoresMaskedRowsAndPadding) {
  const Batch batch(at::kFloat);
  const Controls controls{.beta = batch.beta};
  const auto clean = Loss<>().from_logits(batch.logits, batch.labels, batch.reference, controls);
  Tensor dirty = at::full({6, 5, 16}, std::nan(""), at::kFloat);
  dirty.narrow(2, 0, 11).copy_(batch.logits);
  dirty.masked_fill_((batch.labels == masked).unsqueeze(-1), std::nan(""));
  dirty.requires_grad_();
  const auto out =
      Loss<>().from_logits(dirty, batch.labels, batch.reference, controls, {.vocab_size = 11});
  EXPECT_TRUE(at::equal(clean.loss, out.loss));
  out.loss.backward();
  EXPECT_TRUE(at::isfinite(dirty.grad()).all().item<bool>());
  EXPECT_EQ(dirty.grad().narrow(2, 11, 5).abs().max().item<double>(), 0);
}

TEST(FromLogits, TakesEveryFormOfReference) {
  const Batch batch;
  const Tensor other = at::randn_like(batch.logits);
  for (const bool average : {false, true}) {
    const Loss<> loss({}, {.average_log_prob = average});
    const Controls controls{.beta = 0.1};
    const auto logits =
        loss.from_logits(batch.logits, batch.labels, ReferenceLogits{other}, controls);
    for (const bool averaged : {false, true}) {
      const Tensor log_probs = plain_log_probs(other, batch.labels, averaged);
      const auto given = loss.from_logits(
          batch.logits, batch.labels,
          LogProbs{log_probs.narrow(0, 0, 3), log_probs.narrow(0, 3, 3), averaged}, controls);
      EXPECT_LT(worst(given.loss, logits.loss), 1e-14);
    }
    const auto none = loss.from_logits(batch.logits, batch.labels, NoReference{}, controls);
    const auto zero = loss.from_logits(batch.logits, batch.labels,
                                       LogProbs{at::zeros({3}), at::zeros({3}), average}, controls);
    EXPECT_TRUE(at::equal(none.loss, zero.loss));
  }
}

TEST(FromLogits, AddsTheNllOfTheChosenResponses) {
  const Batch batch;
  const Tensor logits = leaf(batch.logits), plain = leaf(batch.logits);
  const auto out = Loss<>({}, {.nll_coefficient = 0.5})
                       .from_logits(logits, batch.labels, batch.reference, {.beta = batch.beta});
  out.loss.backward();
  const Tensor log_probs = plain_log_probs(plain, batch.labels);
  const auto tokens = (batch.labels.narrow(0, 0, 3) != masked).sum().item<std::int64_t>();
  const Tensor nll = -log_probs.narrow(0, 0, 3).sum() / tokens;
  const Tensor expected = plain_loss(log_probs.narrow(0, 0, 3), log_probs.narrow(0, 3, 3),
                                     batch.reference, batch.beta, at::zeros({}, at::kDouble))
                              .mean() +
                          0.5 * nll;
  expected.backward();
  EXPECT_LT(worst(out.loss, expected), 1e-14);
  EXPECT_LT(worst(logits.grad(), plain.grad()), 1e-14);
  EXPECT_NEAR(out.metrics().at("nll_loss"), nll.item<double>(), 1e-14);
}

TEST(FromLogits, ReportsMeanLogitsOfTheResponsesOwnTokens) {
  const Batch batch;
  const auto metrics = Loss<>({}, {.mean_logits = true})
                           .from_logits(batch.logits, batch.labels, batch.reference, {.beta = 0.1})
                           .metrics();
  for (const auto& [name, first] :
       {std::pair{"logits/chosen", 0}, std::pair{"logits/rejected", 3}}) {
    const Tensor mask = batch.labels.narrow(0, first, 3) != masked;
    const Tensor own = batch.logits.narrow(0, first, 3).masked_select(mask.unsqueeze(-1));
    EXPECT_NEAR(metrics.at(name), own.mean().item<double>(), 1e-14) << name;
  }
}

/// The same batch where the rejected response of pair 1 has no row.
Batch with_empty_response() {
  Batch batch;
  batch.labels.select(0, 4).fill_(masked);
  return batch;
}

TEST(EmptyRows, AreAnErrorThatNamesThePair) {
  const Batch batch = with_empty_response();
  EXPECT_THAT(
      [&] {
        (void)Loss<>().from_logits(batch.logits, batch.labels, batch.reference, {.beta = 0.1});
      },
      ThrowsMessage<c10::Error>(HasSubstr("the rejected response of pair 1")));
}

TEST(EmptyRows, LeaveThePairOutOfSumAndCount) {
  const Batch batch = with_empty_response();
  const Tensor logits = leaf(batch.logits);
  const Loss<> loss({}, {.empty_rows = EmptyRows::skip});
  const auto out = loss.from_logits(logits, batch.labels, batch.reference, {.beta = 0.1});
  EXPECT_EQ(out.valid_pairs(), 2);
  const auto keep = at::tensor(std::vector<std::int64_t>{0, 2, 3, 5});
  const auto two = at::tensor(std::vector<std::int64_t>{0, 2});
  const auto without =
      Loss<>().from_logits(batch.logits.index_select(0, keep), batch.labels.index_select(0, keep),
                           LogProbs{batch.reference.chosen.index_select(0, two),
                                    batch.reference.rejected.index_select(0, two)},
                           {.beta = 0.1});
  EXPECT_TRUE(at::equal(out.loss, without.loss));
  EXPECT_EQ(out.metrics(), without.metrics());
  out.loss.backward();
  EXPECT_EQ(logits.grad().select(0, 1).abs().max().item<double>(), 0);  // its chosen response too
}

TEST(EmptyRows, CountAsLogProbabilityZeroIfKept) {
  const Batch batch = with_empty_response();
  for (const bool average : {false, true}) {
    const auto out = Loss<>({}, {.average_log_prob = average, .empty_rows = EmptyRows::keep})
                         .from_logits(batch.logits, batch.labels, NoReference{}, {.beta = 0.1});
    EXPECT_EQ(out.rejected_logps()[1].item<double>(), 0);
    EXPECT_EQ(out.valid_pairs(), 3);
    EXPECT_TRUE(std::isfinite(out.loss.item<double>()));
  }
}

TEST(EmptyRows, OfAllPairsGiveALossOfZeroWithoutMetrics) {
  for (const auto dtype : {at::kBFloat16, at::kFloat, at::kDouble})
    for (const std::int64_t pairs : {1, 3})
      for (const auto reduction : {Reduction::mean, Reduction::sum})
        for (const auto normalizer : {std::optional<double>(), std::optional(8.0)}) {
          Batch batch(dtype);
          batch.labels.fill_(masked);
          batch.labels[pairs - 1].fill_(3);  // chosen, without a rejected one
          const auto some = [&](const Tensor& t) { return leaf(t.narrow(0, 0, 2 * pairs)); };
          const Tensor labels = batch.labels.narrow(0, 0, 2 * pairs);
          const Tensor logits = some(batch.logits), hidden = some(batch.hidden),
                       weight = leaf(batch.weight);
          const Loss<> loss({}, {.reduction = reduction,
                                 .normalizer = normalizer,
                                 .empty_rows = EmptyRows::skip,
                                 .nll_coefficient = 0.5,
                                 .mean_logits = true});
          for (const auto& out :
               {loss.from_logits(logits, labels, NoReference{}, {.beta = 0.1}),
                loss.from_hidden(hidden, weight, {}, labels, NoReference{}, {.beta = 0.1}),
                loss.from_hidden(hidden, weight, {}, labels, NoReference{}, {.beta = 0.1},
                                 {.workspace_bytes = 1})}) {
            EXPECT_EQ(out.loss.item<double>(), 0);
            EXPECT_EQ(out.valid_pairs(), 0);
            EXPECT_TRUE(out.metrics().empty());
            out.loss.backward();
          }
          for (const Tensor& gradient : {logits.grad(), hidden.grad(), weight.grad()})
            EXPECT_EQ(gradient.abs().max().item<double>(), 0);
        }
}

/// Whatever the states of a pair that is left out hold, the others' gradients are theirs.
TEST(EmptyRows, KeepTheNanOfALeftOutPairFromEverythingElse) {
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble})
    for (const std::int64_t bytes : {1 << 20, 1500, 1})
      for (const auto& objective : {0, 1}) {
        const auto run = [&](double bad) {
          Batch batch(dtype);
          batch.labels.select(0, 4).fill_(masked);
          batch.hidden.select(0, 1).fill_(bad);
          batch.logits.select(0, 1).fill_(bad);
          const Tensor hidden = leaf(batch.hidden), weight = leaf(batch.weight),
                       bias = leaf(batch.bias), logits = leaf(batch.logits);
          const LossOptions options{.empty_rows = EmptyRows::skip,
                                    .nll_coefficient = 0.3 * objective,
                                    .mean_logits = true};
          const Controls controls{.beta = batch.beta};
          const auto go = [&](const auto& loss) {
            const auto out = loss.from_hidden(hidden, weight, bias, batch.labels, NoReference{},
                                              controls, {.workspace_bytes = bytes});
            const auto plain = loss.from_logits(logits, batch.labels, NoReference{}, controls);
            out.loss.backward(), plain.loss.backward();
            EXPECT_EQ(hidden.grad().select(0, 1).abs().max().template item<double>(), 0);
            EXPECT_EQ(logits.grad().select(0, 1).abs().max().template item<double>(), 0);
            for (const auto& metrics : {out.metrics(), plain.metrics()})
              for (const auto& [name, value] : metrics) EXPECT_TRUE(std::isfinite(value)) << name;
            return std::vector{out.loss,      plain.loss,  hidden.grad(),
                               weight.grad(), bias.grad(), logits.grad()};
          };
          return objective == 0 ? go(Loss<>({}, options)) : go(Loss<NcaPair>({}, options));
        };
        const auto plain = run(0.5);
        for (const double bad : {std::nan(""), HUGE_VAL}) {
          const auto got = run(bad);
          for (std::size_t i = 0; i < got.size(); ++i)
            EXPECT_TRUE(at::equal(got[i], plain[i])) << dtype << ", " << bytes << ", number " << i;
        }
      }
}

TEST(EmptyRows, AreLeftOutOfTheMeanLogits) {
  Batch batch;
  const LossOptions options{.empty_rows = EmptyRows::skip, .mean_logits = true};
  batch.labels.select(0, 4).fill_(masked);
  const Tensor shifted = batch.logits.clone();
  shifted.select(0, 1).add_(1000);
  const auto metrics = [&](const Tensor& logits) {
    return Loss<>({}, options)
        .from_logits(logits, batch.labels, batch.reference, {.beta = 0.1})
        .metrics();
  };
  EXPECT_EQ(metrics(shifted), metrics(batch.logits));
}

TEST(FromLogits, GivesRowsOfNoPairZeroWhateverTheUpstreamGradient) {
  const Batch batch;
  const Tensor labels = at::randint(11, {6, 5}, at::kLong), logits = leaf(batch.logits);
  const auto list = [](std::vector<std::int64_t> numbers) { return at::tensor(numbers); };
  const auto out = Loss<>({}, {.reduction = Reduction::none})
                       .from_logits(logits, labels, NoReference{}, {.beta = 0.2},
                                    {.layout = {.order = Sequences::Layout::listed,
                                                .chosen = list({4, 0}),
                                                .rejected = list({2, 5})}});
  out.loss.backward(at::tensor({std::nan(""), 1.0}, at::kDouble));
  for (const std::int64_t sequence : {1, 3})
    EXPECT_EQ(logits.grad()[sequence].abs().max().item<double>(), 0);
  EXPECT_TRUE(at::isfinite(logits.grad()[5]).all().item<bool>());
  EXPECT_TRUE(at::isnan(logits.grad()[4]).all().item<bool>());
}

/// Every objective at every level, through the level below it.
template <class Objective>
void expect_levels_agree(const Objective& objective) {
  const Batch batch;
  const Controls controls{.beta = batch.beta, .weight = batch.share};
  const Loss<Objective> loss(objective);
  const Tensor hidden = leaf(batch.hidden), weight = leaf(batch.weight);
  const Tensor h = leaf(batch.hidden), w = leaf(batch.weight);
  LogProbs reference = batch.reference;
  const bool average = averages_log_probs<Objective>;
  reference.averaged = average;
  const auto from_hidden = loss.from_hidden(hidden, weight, {}, batch.labels, reference, controls,
                                            {.workspace_bytes = 1});
  const Tensor logits = at::matmul(h, w.t());
  const auto from_logits = loss.from_logits(logits, batch.labels, reference, controls);
  const Tensor log_probs = plain_log_probs(logits, batch.labels, average);
  const auto from_log_probs =
      loss({log_probs.narrow(0, 0, 3), log_probs.narrow(0, 3, 3), average}, reference, controls);
  EXPECT_LT(worst(from_logits.loss, from_log_probs.loss), 1e-12);
  EXPECT_LT(worst(from_hidden.loss, from_log_probs.loss), 1e-12);

  from_hidden.loss.backward();
  from_logits.loss.backward({}, /*retain_graph=*/true);
  const Tensor by_logits_h = h.grad().clone(), by_logits_w = w.grad().clone();
  h.mutable_grad() = Tensor();
  w.mutable_grad() = Tensor();
  from_log_probs.loss.backward();
  const double scale = h.grad().abs().max().item<double>() + w.grad().abs().max().item<double>();
  EXPECT_LT(worst(by_logits_h, h.grad()), 1e-13 * scale);
  EXPECT_LT(worst(by_logits_w, w.grad()), 1e-13 * scale);
  EXPECT_LT(worst(hidden.grad(), h.grad()), 1e-12 * scale);
  EXPECT_LT(worst(weight.grad(), w.grad()), 1e-12 * scale);
}

TEST(Objectives, AgreeAtEveryLevel) {
  expect_levels_agree(Sigmoid{.label_smoothing = 0.1});
  expect_levels_agree(Hinge{});
  expect_levels_agree(Ipo{});
  expect_levels_agree(Robust{.label_smoothing = 0.2});
  expect_levels_agree(ExoPair{});
  expect_levels_agree(NcaPair{});
  expect_levels_agree(BcoPair{});
  expect_levels_agree(SppoHard{});
  expect_levels_agree(ApoZero{});
  expect_levels_agree(ApoDown{});
  expect_levels_agree(DiscoPop{});
  expect_levels_agree(SigmoidNorm{});
}

TEST(ValueAndGrad, IsBitIdenticalToAutograd) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Batch batch(dtype, 257);
    const Controls controls{.beta = batch.beta, .margin = batch.margin, .weight = batch.share};
    const Loss<> loss({}, {.nll_coefficient = 0.1});
    const Tensor logits = leaf(batch.logits);
    const auto out = loss.from_logits(logits, batch.labels, batch.reference, controls);
    out.loss.backward();
    const auto direct =
        loss.value_and_grad_from_logits(batch.logits, batch.labels, batch.reference, controls);
    EXPECT_TRUE(at::equal(direct.output.loss, out.loss));
    EXPECT_TRUE(at::equal(direct.logits, logits.grad()));
    EXPECT_EQ(direct.output.metrics(), out.metrics());

    const auto unit = loss.value_and_grad_from_logits(batch.logits, batch.labels, batch.reference,
                                                      controls, {}, /*unit=*/true);
    const Tensor scaled = unit.logits.to(at::kDouble) * unit.row_scale.view({6, 5, 1});
    EXPECT_TRUE(at::equal(unit.output.loss, out.loss));
    EXPECT_LT(worst(scaled, logits.grad()),
              tolerance(dtype) * logits.grad().abs().max().item<double>());

    const Tensor over = batch.logits.clone();
    const auto in_place = loss.value_and_grad_from_logits(over, batch.labels, batch.reference,
                                                          controls, {.gradient_in_place = true});
    EXPECT_TRUE(at::equal(over, logits.grad()));
    EXPECT_EQ(in_place.logits.data_ptr(), over.data_ptr());
  }
}

TEST(ValueAndGrad, OfLogProbsEqualsAutograd) {
  const Tensor pc = at::randn({33}).requires_grad_(), pr = at::randn({33}).requires_grad_();
  const LogProbs reference{at::randn({33}), at::randn({33})};
  const auto out = Loss<>()({pc, pr}, reference, {.beta = 0.2});
  out.loss.backward();
  const auto direct = Loss<>().value_and_grad({pc, pr}, reference, {.beta = 0.2});
  EXPECT_TRUE(at::equal(direct.output.loss, out.loss));
  EXPECT_TRUE(at::equal(direct.chosen, pc.grad()));
  EXPECT_TRUE(at::equal(direct.rejected, pr.grad()));
  EXPECT_FALSE(direct.output.loss.requires_grad());
}

TEST(Sequences, NameTheTensorThatIsWrong) {
  const Batch batch;
  const Loss<> loss;
  const auto expect_error = [&](const Tensor& logits, const Tensor& labels, const auto& message,
                                const LogitsOptions& options = {},
                                const Controls& controls = {.beta = 0.1}) {
    EXPECT_THAT([&] { (void)loss.from_logits(logits, labels, batch.reference, controls, options); },
                ThrowsMessage<c10::Error>(message));
  };
  const Tensor& logits = batch.logits;
  const Tensor& labels = batch.labels;
  expect_error(logits, labels.to(at::kInt),
               AllOf(HasSubstr("labels must be int64"), HasSubstr("Int")));
  expect_error(logits, labels.narrow(1, 0, 4), AllOf(HasSubstr("[6, 5]"), HasSubstr("[6, 4]")));
  expect_error(logits.narrow(0, 0, 5), labels.narrow(0, 0, 5),
               HasSubstr("5 sequences do not form pairs"));
  expect_error(logits.select(0, 0), labels.select(0, 0), HasSubstr("cu_seqlens"));
  expect_error(logits.transpose(1, 2), labels, HasSubstr("last dimension of logits must be dense"));
  expect_error(logits.to(at::kLong), labels, HasSubstr("logits must be float16"));
  expect_error(logits, labels.clone().fill_(11), AllOf(HasSubstr("is 11"), HasSubstr("[0, 11)")));
  expect_error(logits, labels.clone().fill_(-1), HasSubstr("is -1; expected"));
  expect_error(logits, labels, HasSubstr("vocab_size 12"), {.vocab_size = 12});
  LogitsOptions other_shape;
  other_shape.gradient_buffer = at::zeros({2});
  expect_error(logits, labels, HasSubstr("gradient_buffer"), other_shape);
  expect_error(logits, labels, HasSubstr("[3]"), {}, {.beta = at::ones({6})});
  expect_error(logits, labels, HasSubstr("sequence 9"),
               {.layout = {Sequences::Layout::listed, at::tensor(std::vector<std::int64_t>{9}),
                           at::tensor(std::vector<std::int64_t>{0})}});
  EXPECT_THAT(
      [&] {
        (void)loss.from_hidden(batch.hidden, batch.weight.narrow(1, 0, 5), {}, labels,
                               batch.reference, {.beta = 0.1});
      },
      ThrowsMessage<c10::Error>(AllOf(HasSubstr("head's weight"), HasSubstr("[V, 6]"))));
}

TEST(Sequences, RefuseAGradientOfTheGradient) {
  const Batch batch;
  const Tensor logits = leaf(batch.logits);
  const auto out = Loss<>().from_logits(logits, batch.labels, batch.reference, {.beta = 0.1});
  EXPECT_THAT([&] { out.loss.backward({}, true, /*create_graph=*/true); },
              ThrowsMessage<c10::Error>(HasSubstr("from log-probabilities only")));
}

TEST(ShiftForCausalLm, ShiftsLabels) {
  const Tensor labels = at::tensor(std::vector<std::int64_t>{-100, 4, 5, 7, 8, 9}).view({2, 3});
  const Tensor expected =
      at::tensor(std::vector<std::int64_t>{4, 5, -100, 8, 9, -100}).view({2, 3});
  EXPECT_TRUE(at::equal(shift_for_causal_lm(labels), expected));
}

}  // namespace
}  // namespace sp2dpo
