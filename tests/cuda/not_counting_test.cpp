// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include "hidden_problem.hpp"
#include <gtest/gtest.h>

/// Rows and pairs that do not count, whatever their hidden states hold.
namespace sp2dpo::cuda {
namespace {

void set_rows(Problem& problem, std::int64_t begin, std::int64_t end, double value) {
  for (std::int64_t i = begin * width; i < end * width; ++i)
    detail::store(problem.hidden.data(), problem.dtype, i, value);
}

/// The gradients are the same bits as with harmless numbers in those rows.
void expect_no_trace(Problem problem, std::int64_t begin, std::int64_t end) {
  for (const auto long_pairs : {LongPairs::recompute, LongPairs::by_side})
    for (const std::int64_t chunk_rows : {rows, std::int64_t{8}, std::int64_t{3}}) {
      SCOPED_TRACE(testing::Message() << name_of(problem.dtype) << ", chunks of " << chunk_rows);
      problem.long_pairs = long_pairs;
      set_rows(problem, begin, end, 0.5);
      const Result want = problem.on_device(chunk_rows);
      for (const double bad : {std::nan(""), HUGE_VAL}) {
        set_rows(problem, begin, end, bad);
        const Result got = problem.on_device(chunk_rows);
        EXPECT_EQ(got.losses, want.losses);
        EXPECT_EQ(got.slopes, want.slopes);
        EXPECT_EQ(got.d_hidden, want.d_hidden);
        EXPECT_EQ(got.d_head, want.d_head);
        EXPECT_EQ(got.d_bias, want.d_bias);
      }
    }
}

TEST(CudaHiddenNotCounting, PairsLeaveNoTraceInTheGradients) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16})
    for (const double nll_scale : {0.0, 0.1}) {
      Problem problem(dtype);
      problem.skip_incomplete = true;
      problem.nll_scale = nll_scale;
      for (std::size_t i = 18; i < rows; ++i) problem.labels[i] = ignored;  // the third's rejected
      expect_no_trace(problem, 6, 13);                                      // its chosen one
    }
}

TEST(CudaHiddenNotCounting, MaskedRowsThatAreListedLeaveNoTrace) {
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    Problem problem(dtype);
    problem.lists_masked = true;
    for (const std::int64_t row : {8, 9, 22})
      problem.labels[static_cast<std::size_t>(row)] = ignored;
    expect_no_trace(problem, 8, 10);
    expect_no_trace(problem, 22, 23);
  }
}

}  // namespace
}  // namespace sp2dpo::cuda
