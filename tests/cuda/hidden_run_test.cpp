// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <string>

#include "hidden_problem.hpp"
#include "ptx/device.hpp"
#include "ptx/schedules.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>

/// Tests of the hidden level that need the stand-in for CUDA's runtime.
namespace sp2dpo::cuda {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

void expect_same_bits(const Result& got, const Result& want) {
  EXPECT_EQ(got.policy, want.policy);
  EXPECT_EQ(got.losses, want.losses);
  EXPECT_EQ(got.d_hidden, want.d_hidden);
  EXPECT_EQ(got.d_head, want.d_head);
  EXPECT_EQ(got.d_bias, want.d_bias);
}

TEST(CudaHiddenRun, IsBitIdenticalInEveryThreadOrder) {
  const Problem problem(DType::bfloat16);
  const Result want = problem.on_device(8);
  ptx::for_each_schedule([&] { expect_same_bits(problem.on_device(8), want); });
}

using Call = const Problem::Call&;
using Change = void (*)(Call);
struct Wrong {
  Change change;
  const char* words;
};

void expect_refused(const Wrong& wrong, const char* call, const auto& make) {
  const Problem problem(DType::float32);
  EXPECT_THAT([&] { (void)make(problem, wrong.change); },
              ThrowsMessage<InvalidArgument>(HasSubstr(std::string(call) + ": " + wrong.words)));
  EXPECT_EQ(ptx::device().launches().size(), 0u) << wrong.words;
}
void expect_loss_refused(const Wrong& wrong) {
  expect_refused(wrong, "cuda::hidden_loss", [](const Problem& problem, Change change) {
    return problem.on_device(rows, nullptr, change);
  });
}
void expect_log_probs_refused(const Wrong& wrong) {
  expect_refused(wrong, "cuda::hidden_log_probs", [](const Problem& problem, Change change) {
    return problem.log_probs_on_device(rows, change);
  });
}

TEST(CudaHiddenRun, NamesAnInvalidInputBeforeAnyLaunch) {
  const Wrong of_both[] = {
      {[](Call c) { c.rows.hidden.data = nullptr; }, "hidden.data is null"},
      {[](Call c) { c.rows.hidden.dtype = DType::float64; }, "hidden is float64"},
      {[](Call c) { c.rows.hidden.columns = 5; },
       "head is float32 [70, 24] and hidden is float32 [26, 5]"},
      {[](Call c) { c.rows.hidden.rows = 25; }, "the pairs contain row 25, but hidden has 25 rows"},
      {[](Call c) { c.rows.hidden.stride = 0; }, "hidden has a stride of 0 elements"},
      {[](Call c) { c.rows.head.data = nullptr; }, "head.data is null"},
      {[](Call c) { c.rows.head.dtype = DType::bfloat16; }, "head is bfloat16 [70, 24]"},
      {[](Call c) { c.rows.head.columns = 5; }, "head is float32 [70, 5]"},
      {[](Call c) { c.rows.head.rows = 0; }, "head is [0, 24]"},
      {[](Call c) { c.rows.head.columns = c.rows.hidden.columns = 0; }, "head is [70, 0]"},
      {[](Call c) { c.rows.head.stride = 23; }, "head has a stride of 23 elements"},
      {[](Call c) { c.rows.labels.label = nullptr; }, "labels.label is null"},
      {[](Call c) { c.lists.rows = nullptr; }, "lists.rows is null"},
      {[](Call c) { c.lists.bounds = nullptr; }, "lists.bounds is null"},
      {[](Call c) { c.chunk_rows = 0; }, "chunk_rows is 0; expected at least 1"},
      {[](Call c) { c.chunk_rows = -1; }, "chunk_rows is -1; expected at least 1"},
      {[](Call c) { --c.memory.workspace_bytes; }, "chunks of 26 rows need"},
      {[](Call c) { c.memory.workspace = nullptr; }, "chunks of 26 rows need"}};
  for (const Wrong& wrong : of_both) expect_loss_refused(wrong), expect_log_probs_refused(wrong);
}

TEST(CudaHiddenRun, NamesAnInvalidOutputOrLossBeforeAnyLaunch) {
  const Wrong of_log_probs[] = {
      {[](Call c) { c.out.sums.chosen = nullptr; }, "out.chosen is null"},
      {[](Call c) { c.out.sums.rejected = nullptr; }, "out.rejected is null"},
      {[](Call c) { c.out.sums.chosen_row_counts = nullptr; }, "out.chosen_row_counts is null"},
      {[](Call c) { c.out.sums.rejected_row_counts = nullptr; },
       "out.rejected_row_counts is null"}};
  for (const Wrong& wrong : of_log_probs) expect_log_probs_refused(wrong);

  const Wrong of_loss[] = {
      {[](Call c) { c.out.sums.chosen = nullptr; }, "out.sums.chosen is null"},
      {[](Call c) { c.out.sums.rejected = nullptr; }, "out.sums.rejected is null"},
      {[](Call c) { c.out.sums.chosen_row_counts = nullptr; },
       "out.sums.chosen_row_counts is null"},
      {[](Call c) { c.out.sums.rejected_row_counts = nullptr; },
       "out.sums.rejected_row_counts is null"},
      {[](Call c) { c.out.d_chosen = nullptr; }, "out.d_chosen is null"},
      {[](Call c) { c.out.d_rejected = nullptr; }, "out.d_rejected is null"},
      {[](Call c) { c.loss.outputs.d_policy_chosen = {}; }, "loss.outputs.d_policy_chosen does"},
      {[](Call c) { c.loss.outputs.d_policy_rejected = c.loss.outputs.d_policy_chosen; },
       "loss.outputs.d_policy_rejected does"},
      {[](Call c) {
         c.loss.inputs.beta = {nullptr, DType::float32};
       },
       "loss.inputs.beta is null; expected"},
      {[](Call c) {
         c.loss.inputs.margin = {nullptr, DType::float32};
       },
       "loss.inputs.margin is null; expected"},
      {[](Call c) {
         c.loss.inputs.weight = {nullptr, DType::float32};
       },
       "loss.inputs.weight is null; expected"},
      {[](Call c) {
         c.loss.inputs.reference_chosen = {nullptr, DType::float32};
       },
       "loss.inputs.reference_chosen is null; expected"},
      {[](Call c) {
         c.loss.inputs.reference_rejected = {nullptr, DType::float32};
       },
       "loss.inputs.reference_rejected is null; expected"},
      {[](Call c) { c.rows.d_hidden.dtype = DType::bfloat16; }, "d_hidden is bfloat16 [26, 24]"},
      {[](Call c) { c.rows.d_head.rows = 3; }, "d_head is float32 [3, 24]"},
      {[](Call c) { c.rows.d_head.dtype = DType::float64; }, "d_head is float64 [70, 24]"},
      {[](Call c) { c.rows.d_bias.stride = 71; },
       "d_bias is float32 [1, 70] with a stride of 71 elements"},
      {[](Call c) {
         c.reference = c.rows.hidden;
         c.reference.dtype = DType::float16;
       },
       "reference is float16 [26, 24]"},
      {[](Call c) {
         c.reference = c.rows.hidden;
         c.reference.rows = 25;
       },
       "reference is float32 [25, 24]"},
      {[](Call c) {
         c.reference = c.rows.hidden;
         c.reference.stride = 1;
       },
       "reference has a stride of 1 elements"},
      {[](Call c) { c.reference = c.rows.hidden; }, "chunks of 26 rows need"}};
  for (const Wrong& wrong : of_loss) expect_loss_refused(wrong);
}

TEST(CudaHiddenRun, ReadsNothingWithoutPairs) {
  const PairRows none({}, {}, 0);
  const AnyObjective objective = Sigmoid{};
  MatrixProducts products;
  hidden_loss({}, {.rows = none, .objective = objective, .inputs = {.beta = {nullptr, {}}}}, {}, {},
              products, nullptr);
  hidden_log_probs({}, none, false, {}, {}, products, nullptr);
}

TEST(CudaHiddenBySideRun, IsBitIdenticalInEveryThreadOrder) {
  Problem problem(DType::bfloat16, 71);
  problem.long_pairs = LongPairs::by_side;
  problem.nll_scale = 0.1;
  const Result want = problem.on_device(8);
  ptx::for_each_schedule([&] { expect_same_bits(problem.on_device(8), want); });
}

TEST(CudaHiddenBySideRun, NeedsTheLastByteOfItsWorkspace) {
  Problem problem(DType::float32);
  problem.long_pairs = LongPairs::by_side;
  EXPECT_THAT(
      [&] {
        (void)problem.on_device(4, nullptr,
                                [](const Problem::Call& call) { --call.memory.workspace_bytes; });
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("bytes of workspace, got")));
}

TEST(CudaHiddenBySideRun, ComputesThreeProductsPerPartInsteadOfFour) {
  Problem problem(DType::float32);
  // Rows of the sequences that count: 4 and 3, 1 and 1, 6 and 6; the second pair fits.
  const auto products = [&](LongPairs long_pairs) {
    problem.long_pairs = long_pairs;
    ptx::device().launches().clear();
    (void)problem.on_device(4);
    return std::ranges::count(ptx::device().launches(), "cublasLtMatmul",
                              &ptx::LaunchRecord::kernel);
  };
  EXPECT_EQ(products(LongPairs::recompute), 4 * 2 + 3 + 4 * 3);
  EXPECT_EQ(products(LongPairs::by_side), 3 * 2 + 3 + 3 * 3);
  problem.objective = NcaPair{};  // in parts of one sequence
  EXPECT_EQ(products(LongPairs::by_side), 3 * (1 + 1) + 3 + 3 * (2 + 2));
}

TEST(CudaHiddenBySideRun, CanBeCaptured) {
  Problem problem(DType::float32);
  problem.long_pairs = LongPairs::by_side;
  problem.around = [](const auto& call) {
    const ptx::Capture capture;
    call();
  };
  (void)problem.on_device(8);
}

}  // namespace
}  // namespace sp2dpo::cuda
