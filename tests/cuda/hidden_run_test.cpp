// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <utility>

#include "hidden_problem.hpp"
#include "host/device.hpp"
#include "host/schedules.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>

/// What can be asked of the hidden level over the stand-in for CUDA's runtime only.
namespace sp2dpo::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

void expect_same_bits(const Result& got, const Result& want) {
  EXPECT_EQ(got.policy, want.policy);
  EXPECT_EQ(got.losses, want.losses);
  EXPECT_EQ(got.d_hidden, want.d_hidden);
  EXPECT_EQ(got.d_head, want.d_head);
  EXPECT_EQ(got.d_bias, want.d_bias);
}

TEST(CudaHiddenRun, GivesTheSameBitsInWhateverOrderThreadsRun) {
  const Problem problem(DType::bfloat16);
  const Result want = problem.on_device(8);
  ptx::for_each_schedule([&] { expect_same_bits(problem.on_device(8), want); });
}

TEST(CudaHiddenRun, NamesTheCallThatFailedAndLeavesTheStreamUsable) {
  const Problem problem(DType::float32);
  const Result want = problem.on_device(rows);
  for (const auto& [call, error] :
       {std::pair<std::string, std::string>{"launch", "cudaErrorLaunchOutOfResources"},
        {"cublasLtCreate", "cublasLt"},
        {"cublasLtMatmulAlgoGetHeuristic", "cublasLt"},
        {"cublasLtMatmul", "cublasLt"},
        {"cudaMemsetAsync", "cudaErrorLaunchOutOfResources"}}) {
    ptx::device().fail_next(call, cudaErrorLaunchOutOfResources);
    EXPECT_THAT([&] { (void)problem.on_device(rows); },
                ThrowsMessage<CudaError>(AllOf(HasSubstr("cuda::"), HasSubstr(error))))
        << call;
    expect_same_bits(problem.on_device(rows), want);
  }
}

TEST(CudaHiddenRun, WantsTheLastByteOfItsWorkspace) {
  Problem problem(DType::float32);
  problem.missing_bytes = 1;
  EXPECT_THAT([&] { (void)problem.on_device(rows); },
              ThrowsMessage<InvalidArgument>(HasSubstr("bytes of workspace, given are")));
}

}  // namespace
}  // namespace sp2dpo::cuda
