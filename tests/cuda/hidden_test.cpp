// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "device_array.hpp"
#include "hidden_problem.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(CudaHidden, GivesTheNumbersOfTheHost) {
  for (const bool with_bias : {false, true})
    for (const bool add : {false, true}) {
      Problem problem(DType::float32);
      problem.with_bias = with_bias;
      problem.add = add;
      expect_same(problem.on_device(rows), problem.on_host(rows), 3e-6);
    }
}

TEST(CudaHidden, TakesWholePairsAsTheyFit) {
  for (const double nll_scale : {0.0, 0.1}) {
    Problem problem(DType::float32);
    problem.average = nll_scale > 0;
    problem.nll_scale = nll_scale;
    const Result want = problem.on_host(rows);
    for (const std::int64_t chunk_rows : {12, 16, 1000})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
  }
}

TEST(CudaHidden, RoundsNarrowTypesOnce) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    Problem problem(dtype);
    problem.add = false;
    Problem wide(DType::float32);
    wide.add = false;
    for (auto [from, to] : {std::pair{&problem.hidden, &wide.hidden},
                            {&problem.head, &wide.head},
                            {&problem.bias, &wide.bias}}) {
      const auto values = numbers(*from, dtype);
      for (std::size_t i = 0; i < values.size(); ++i)
        detail::store(to->data(), DType::float32, static_cast<std::int64_t>(i), values[i]);
    }
    // Logits and their gradients are stored in the narrow type.
    expect_same(problem.on_device(12), wide.on_host(rows), dtype == DType::float16 ? 3e-3 : 2e-2);
  }
}

TEST(CudaHidden, ReportsABadLabel) {
  Problem problem(DType::float32);
  problem.labels[2] = vocab;
  std::uint64_t bad_row = 0;
  const Result got = problem.on_device(rows, &bad_row);
  EXPECT_EQ(bad_row, 2u);
  EXPECT_TRUE(std::isnan(got.losses[0]));
  EXPECT_FALSE(std::isnan(got.losses[1]));
}

TEST(CudaHidden, TakesPairsLongerThanAChunkInParts) {
  // Longer than some pairs; shorter than some answers.
  for (const auto& [chunk_rows, add] : {std::pair<std::int64_t, bool>{8, false}, {2, true}}) {
    Problem problem(DType::float32);
    problem.add = add;
    expect_same(problem.on_device(chunk_rows), problem.on_host(rows), 3e-6);
  }
  Problem problem(DType::bfloat16);
  expect_same(problem.on_device(5), problem.on_device(rows), 1e-2);
}

TEST(CudaHidden, PassesOverMaskedRowsThatAreListed) {
  Problem problem(DType::float32);
  problem.average = true;
  const Result want = problem.on_host(rows);
  problem.lists_masked = true;
  for (const std::int64_t chunk_rows : {rows, std::int64_t{3}})
    expect_same(problem.on_device(chunk_rows), want, 3e-6);
}

TEST(CudaHidden, SkipsPairsWithAnAnswerWithoutRows) {
  for (const bool lists_masked : {false, true}) {
    Problem problem(DType::float32);
    problem.skip_incomplete = true;
    problem.nll_scale = 0.1;
    problem.labels[5] = ignored;  // the only row of the second pair's chosen answer
    for (std::size_t i = 18; i < rows; ++i) problem.labels[i] = ignored;  // the third's rejected
    const Result want = problem.on_host(rows);
    EXPECT_GT(want.losses[0], 0);
    EXPECT_EQ(want.losses[1], 0);
    EXPECT_EQ(want.losses[2], 0);
    problem.lists_masked = lists_masked;
    for (const std::int64_t chunk_rows : {rows, std::int64_t{4}})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
  }
}

TEST(CudaHidden, MakesTheSameOfTheGradientsThatAreWanted) {
  const Problem problem(DType::float32);
  const Result all = problem.on_device(12);
  const auto before = [](std::int64_t count) {
    return numbers(Problem::float_bytes(count), DType::float32);
  };
  for (int wanted = 0; wanted < 8; ++wanted) {
    const bool hidden = (wanted & 1) != 0, head = (wanted & 2) != 0, bias = (wanted & 4) != 0;
    const Result got = problem.on_device(12, nullptr, [&](const Problem::Call& call) {
      if (!hidden) call.rows.d_hidden.data = nullptr;
      if (!head) call.rows.d_head.data = nullptr;
      if (!bias) call.rows.d_bias.data = nullptr;
    });
    EXPECT_EQ(got.losses, all.losses) << wanted;
    EXPECT_EQ(got.d_hidden, hidden ? all.d_hidden : std::vector<double>()) << wanted;
    EXPECT_EQ(got.d_head, head ? all.d_head : before(vocab * width)) << wanted;
    EXPECT_EQ(got.d_bias, bias ? all.d_bias : before(vocab)) << wanted;
  }
}

TEST(CudaHidden, AddsToWhatAnotherCallLeft) {
  Problem problem(DType::float32);
  const Result once = problem.on_device(12), twice = problem.on_device(12, nullptr, {}, 2);
  const auto before = numbers(Problem::float_bytes(vocab * width), DType::float32);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(twice.d_head[i] - before[i], 2 * (once.d_head[i] - before[i]), 1e-6);
  problem.add = false;
  EXPECT_EQ(problem.on_device(12, nullptr, {}, 2).d_head, problem.on_device(12).d_head);
}

TEST(CudaHidden, NamesWhatIsWrong) {
  const Problem problem(DType::float32);
  using Change = void (*)(const Problem::Call&);
  const std::pair<Change, const char*> wrong[] = {
      {[](const Problem::Call& call) { call.rows.hidden.data = nullptr; }, "hidden.data is null"},
      {[](const Problem::Call& call) { call.rows.head.data = nullptr; }, "head.data is null"},
      {[](const Problem::Call& call) { call.rows.labels.label = nullptr; }, "labels.label is null"},
      {[](const Problem::Call& call) { call.rows.head.columns = 5; }, "the head is"},
      {[](const Problem::Call& call) { call.rows.head.dtype = DType::bfloat16; }, "the head is"},
      {[](const Problem::Call& call) { call.rows.hidden.dtype = DType::float64; }, "float64"},
      {[](const Problem::Call& call) { call.rows.d_hidden.dtype = DType::bfloat16; },
       "d_hidden is bfloat16"},
      {[](const Problem::Call& call) { call.rows.d_head.rows = 3; }, "d_head is float32 [3, 24]"},
      {[](const Problem::Call& call) { call.rows.d_bias.stride = 71; }, "d_bias is float32"},
      {[](const Problem::Call& call) { call.lists.rows = nullptr; }, "lists.rows is null"},
      {[](const Problem::Call& call) { call.lists.bounds = nullptr; }, "lists.bounds is null"},
      {[](const Problem::Call& call) { call.out.d_chosen = nullptr; }, "d_chosen is null"},
      {[](const Problem::Call& call) { call.out.d_rejected = nullptr; }, "d_rejected is null"},
      {[](const Problem::Call& call) { call.out.answers.chosen = nullptr; }, "answers is null"},
      {[](const Problem::Call& call) { call.out.answers.rejected_rows = nullptr; },
       "answers is null"},
      {[](const Problem::Call& call) { call.chunk_rows = 0; }, "at least one row, not 0"},
      {[](const Problem::Call& call) { call.chunk_rows = -1; }, "at least one row, not -1"}};
  for (const auto& [change, words] : wrong)
    EXPECT_THAT(
        [&] { (void)problem.on_device(rows, nullptr, change); },
        ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("cuda::hidden_loss: "), HasSubstr(words))));
}

TEST(CudaHidden, MakesAnAnswerWithoutRowsNanWhereNoneIsAllowed) {
  Problem problem(DType::float32);
  problem.lists_masked = true;
  problem.labels[5] = ignored;  // the only row of the second pair's chosen answer
  const auto losses = [&](bool allowed) {
    return problem
        .on_device(rows, nullptr,
                   [&](const Problem::Call& call) { call.lists.empty_allowed = allowed; })
        .losses;
  };
  const auto kept = losses(true), refused = losses(false);
  EXPECT_EQ(kept, problem.on_device(rows).losses);
  EXPECT_FALSE(std::isnan(kept[1]));
  EXPECT_TRUE(std::isnan(refused[1]));
  EXPECT_EQ(refused[0], kept[0]);
}

TEST(CudaHidden, GivesAReferencesLogProbabilities) {
  const Problem problem(DType::float32);
  for (const bool average : {false, true}) {
    Problem averaged = problem;
    averaged.average = average;
    const std::vector<double> want = averaged.on_host(rows).policy;
    const PairRows answers = problem.pairs();
    const DeviceArray<unsigned char> hidden(problem.hidden), head(problem.head), bias(problem.bias);
    const DeviceArray<std::int64_t> labels(problem.labels), counts(2 * pair_count),
        list(answers.rows()), begins(answers.bounds());
    const HiddenRows all = problem.hidden_rows(hidden.data(), head.data(), bias.data(),
                                               labels.data(), nullptr, nullptr, nullptr);
    for (const std::int64_t chunk_rows : {rows, std::int64_t{7}}) {
      const DeviceArray<double> policy(2 * pair_count);
      const std::size_t bytes = hidden_workspace(all, answers, chunk_rows);
      const DeviceArray<unsigned char> workspace(bytes);
      MatrixProducts products;
      hidden_log_probs(
          all, answers, {list.data(), begins.data()}, average, chunk_rows,
          {policy.data(), policy.data() + pair_count, counts.data(), counts.data() + pair_count},
          {workspace.data(), bytes}, products, nullptr);
      expect_near(policy.get(), want, 3e-6, "log-probability");
      std::vector<std::int64_t> rows_of_answers;
      for (const auto side : {PairRows::chosen, PairRows::rejected})
        for (std::int64_t i = 0; i < pair_count; ++i)
          rows_of_answers.push_back(answers.count(i, side));
      EXPECT_EQ(counts.get(), rows_of_answers);
    }
  }
}

TEST(CudaHidden, TakesAReferenceUnderTheSameHeadAlong) {
  for (const bool average : {false, true}) {
    Problem problem(DType::float32);
    problem.average = average;
    Problem reference = problem;
    for (std::int64_t i = 0; i < rows * width; ++i)
      detail::store(reference.hidden.data(), problem.dtype, i,
                    0.7 * detail::load(problem.hidden.data(), problem.dtype, rows * width - 1 - i));
    problem.reference_sums = reference.on_host(rows).policy;
    const Result want = problem.on_host(rows);
    problem.reference_sums.clear();
    problem.reference = reference.hidden;
    for (const std::int64_t chunk_rows : {rows, std::int64_t{12}, std::int64_t{3}})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
  }
}

TEST(CudaHidden, SaysWhatWorkspaceItWants) {
  const Problem problem(DType::float32);
  const PairRows answers = problem.pairs();
  const HiddenRows all = problem.hidden_rows(problem.hidden.data(), problem.head.data(), nullptr,
                                             problem.labels.data(), nullptr, nullptr, nullptr);
  const AnyObjective objective = Sigmoid{};
  const PairOutputs outputs{};
  const SequenceLoss loss = problem.sequence_loss(answers, objective, outputs, problem.beta.data());
  MatrixProducts products;
  double number = 0;
  std::int64_t count = 0;
  EXPECT_THAT(
      [&] {
        hidden_loss(all, loss, {&count, &count}, rows,
                    {{&number, &number, &count, &count}, &number, &number}, {}, products, nullptr);
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("bytes of workspace, given are 0")));
}

TEST(CudaMatrixProducts, RefuseShapesThatDoNotFit) {
  MatrixProducts products;
  float memory[4]{};
  const Matrix two{memory, DType::float32, 2, 2, 2}, row{memory, DType::float32, 1, 2, 2};
  EXPECT_THAT([&] { products({as_const(two)}, {as_const(row)}, two, false, nullptr, 0, nullptr); },
              ThrowsMessage<InvalidArgument>(HasSubstr("[2, 2] · [1, 2] does not give [2, 2]")));
  const Matrix wide{memory, DType::float64, 1, 1, 1};
  EXPECT_THAT(
      [&] { products({as_const(wide)}, {as_const(wide)}, wide, false, nullptr, 0, nullptr); },
      ThrowsMessage<InvalidArgument>(HasSubstr("float64")));
}

}  // namespace
}  // namespace sp2dpo::cuda
