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

/// Rows of a chunk that the last of the pairs does not fit into.
constexpr std::int64_t some_in_parts = 8;

TEST(CudaHidden, MakesTheSameOfTheGradientsThatAreWanted) {
  Problem problem(DType::float32);
  const auto before = [](std::int64_t count) {
    return numbers(Problem::float_bytes(count), DType::float32);
  };
  problem.add = false;
  const Result all = problem.on_device(some_in_parts);
  for (int wanted = 0; wanted < 7; ++wanted) {
    SCOPED_TRACE(wanted);
    const bool hidden = (wanted & 1) != 0, head = (wanted & 2) != 0, bias = (wanted & 4) != 0;
    const Result got = problem.on_device(some_in_parts, nullptr, [&](const Problem::Call& call) {
      if (!hidden) call.rows.d_hidden.data = nullptr;
      if (!head) call.rows.d_head.data = nullptr;
      if (!bias) call.rows.d_bias.data = nullptr;
    });
    EXPECT_EQ(got.policy, all.policy);
    EXPECT_EQ(got.losses, all.losses);
    EXPECT_EQ(got.slopes, all.slopes);
    EXPECT_EQ(got.d_hidden, hidden ? all.d_hidden : std::vector<double>());
    EXPECT_EQ(got.d_head, head ? all.d_head : before(vocab * width));
    EXPECT_EQ(got.d_bias, bias ? all.d_bias : before(vocab));
  }
}

TEST(CudaHidden, AddsToWhatAnotherCallLeft) {
  Problem problem(DType::float32);
  const Result once = problem.on_device(some_in_parts);
  const Result twice = problem.on_device(some_in_parts, nullptr, {}, 2);
  const auto expect_twice = [](const std::vector<double>& first, const std::vector<double>& both) {
    const auto before =
        numbers(Problem::float_bytes(static_cast<std::int64_t>(first.size())), DType::float32);
    for (std::size_t i = 0; i < before.size(); ++i)
      EXPECT_NEAR(both[i] - before[i], 2 * (first[i] - before[i]), 1e-6) << i;
  };
  expect_twice(once.d_head, twice.d_head);
  expect_twice(once.d_bias, twice.d_bias);
  EXPECT_EQ(twice.d_hidden, once.d_hidden);
  problem.add = false;
  const Result fresh = problem.on_device(some_in_parts);
  const Result again = problem.on_device(some_in_parts, nullptr, {}, 2);
  EXPECT_EQ(again.d_head, fresh.d_head);
  EXPECT_EQ(again.d_bias, fresh.d_bias);
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
  Problem problem(DType::float32);
  const PairRows answers = problem.pairs();
  std::vector<std::int64_t> counts;
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    for (std::int64_t i = 0; i < pair_count; ++i) counts.push_back(answers.count(i, side));
  for (const bool average : {false, true}) {
    problem.average = average;
    const std::vector<double> want = problem.on_host(rows).policy;
    for (const std::int64_t chunk_rows : {rows, std::int64_t{7}}) {
      const auto got = problem.log_probs_on_device(chunk_rows);
      expect_near(got.policy, want, 3e-6, "log-probability");
      EXPECT_EQ(got.counts, counts);
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

TEST(CudaMatrixProducts, RefuseWhatDoesNotFitOrIsNotThere) {
  MatrixProducts products;
  float memory[4]{};
  const Matrix two{memory, DType::float32, 2, 2, 2}, row{memory, DType::float32, 1, 2, 2};
  EXPECT_THAT([&] { products({as_const(two)}, {as_const(row)}, two, false, nullptr, 0, nullptr); },
              ThrowsMessage<InvalidArgument>(HasSubstr("[2, 2] · [1, 2] does not give [2, 2]")));
  const Matrix null{nullptr, DType::float32, 2, 2, 2};
  const auto expect_missing = [&](const Matrix& a, const Matrix& b, const Matrix& out,
                                  const char* words) {
    EXPECT_THAT([&] { products({as_const(a)}, {as_const(b)}, out, false, nullptr, 0, nullptr); },
                ThrowsMessage<InvalidArgument>(HasSubstr(words)));
  };
  expect_missing(null, two, two, "cuda::MatrixProducts: a.matrix.data is null");
  expect_missing(two, null, two, "cuda::MatrixProducts: b.matrix.data is null");
  expect_missing(two, two, null, "cuda::MatrixProducts: out.data is null");
  const Matrix wide{memory, DType::float64, 1, 1, 1};
  EXPECT_THAT(
      [&] { products({as_const(wide)}, {as_const(wide)}, wide, false, nullptr, 0, nullptr); },
      ThrowsMessage<InvalidArgument>(HasSubstr("float64")));
}

}  // namespace
}  // namespace sp2dpo::cuda
