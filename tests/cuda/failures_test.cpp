// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hidden_problem.hpp"
#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/error.hpp>

/// How each public call behaves when the device fails it. The tests of cuda::pair_loss are in
/// pair_loss_run_test.cpp.
namespace sp2dpo::cuda {
namespace {

using ptx::DeviceArray;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

/// Two rows, which are the sequences of one pair, and memory for all outputs.
struct Rows {
  explicit Rows(std::int64_t vocab_)
      : logits(std::vector<float>(static_cast<std::size_t>(2 * vocab_), 0.5f)),
        rows{logits.data(), DType::float32, 2, vocab_, 0, {vocab_}},
        workspace(row_workspace(rows, 2)) {}

  void find_log_probs() {
    row_log_probs(rows, {label.data()}, {0, 2}, statistics, memory, nullptr);
  }
  void find_gradient() {
    row_gradient(rows, {label.data()}, {0, 2}, lse_others.data(), coefficient.data(), gradient,
                 MaskedRows::zero, memory, nullptr);
  }
  void find_both() {
    row_log_probs_and_gradient(rows, {label.data()}, {0, 2}, statistics, coefficient.data(),
                               gradient, MaskedRows::zero, memory, nullptr);
  }
  void find_sums() { sequence_log_probs(batch, log_prob.data(), true, sums, nullptr); }
  void find_coefficients() {
    row_coefficients(batch, sums, 0.5, -0.5, 1.0, 0, coefficient.data(), nullptr);
  }
  [[nodiscard]] std::vector<double> all() const {
    std::vector<double> values(log_prob.get());
    for (const auto& more : {lse_others.get(), coefficient.get(), policy.get()})
      values.insert(values.end(), more.begin(), more.end());
    for (const float x : logits.get()) values.push_back(static_cast<double>(x));
    return values;
  }

  DeviceArray<float> logits;
  LogitRows rows;
  GradientRows gradient{logits.data(), rows.layout};
  DeviceArray<unsigned char> workspace;
  DeviceArray<std::int64_t> label{std::vector<std::int64_t>{1, 0}},
      counts{std::vector<std::int64_t>{1, 1}};
  DeviceArray<double> log_prob{std::vector{-1.0, -2.0}}, lse_others{std::vector{3.0, 4.0}},
      coefficient{std::vector{0.25, -0.5}}, policy{std::vector{-1.0, -2.0}};
  RowStatistics statistics{log_prob.data(), lse_others.data()};
  RowMemory memory{workspace.data(), workspace.size()};
  SequenceRows batch{{.count = 2, .length = 1}, {label.data()}};
  SequenceSums sums{policy.data(), policy.data() + 1, counts.data(), counts.data() + 1};
};

struct PublicCall {
  const char* name;
  std::function<std::vector<double>()> make;
  std::vector<double> want = make();
};

std::vector<PublicCall> public_calls() {
  const auto of_rows = [](void (Rows::*call)()) {
    return [call] {
      Rows on_device(40);
      (on_device.*call)();
      return on_device.all();
    };
  };
  return {{"cuda::row_log_probs", of_rows(&Rows::find_log_probs)},
          {"cuda::row_gradient", of_rows(&Rows::find_gradient)},
          {"cuda::row_log_probs_and_gradient", of_rows(&Rows::find_both)},
          {"cuda::sequence_log_probs", of_rows(&Rows::find_sums)},
          {"cuda::row_coefficients", of_rows(&Rows::find_coefficients)},
          {"cuda::hidden_log_probs",
           [] { return Problem(DType::float32).log_probs_on_device(rows).policy; }},
          {"cuda::hidden_loss", [] { return Problem(DType::float32).on_device(rows).d_head; }}};
}

/// `fail` makes the next call fail with `error`. The message names the error and the call, and
/// later calls do not see it again.
void expect_failure(const PublicCall& call, const std::function<void()>& fail, const char* error) {
  SCOPED_TRACE(testing::Message() << call.name << ", " << error);
  fail();
  EXPECT_THAT([&] { (void)call.make(); },
              ThrowsMessage<CudaError>(AllOf(HasSubstr(call.name), HasSubstr(error))));
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  ptx::device().reset();
  EXPECT_EQ(call.make(), call.want);
}

TEST(CudaFailures, NameTheCallAndTheErrorAndLeaveTheDeviceUsable) {
  for (const PublicCall& call : public_calls()) {
    for (const auto& [error, name] :
         {std::pair{cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation"},
          {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources"}})
      expect_failure(
          call, [error = error] { ptx::device().fail_next("launch", error); }, name);
    expect_failure(
        call, [] { ptx::device().properties.major = 7; }, "cudaErrorNoKernelImageForDevice");
  }
  const PublicCall loss = public_calls().back();
  expect_failure(
      loss, [] { ptx::device().fail_next("cudaMemsetAsync", cudaErrorMemoryAllocation); },
      "cudaErrorMemoryAllocation");
}

TEST(CudaFailures, NameAMatrixProductThatFails) {
  PublicCall call = public_calls().back();
  call.name = "cuda::MatrixProducts, ";
  for (const auto& [function, status] :
       {std::pair{"cublasLtCreate", "CUBLAS_STATUS_NOT_INITIALIZED"},
        {"cublasLtMatmulAlgoGetHeuristic", "CUBLAS_STATUS_NOT_SUPPORTED"},
        {"cublasLtMatmul", "CUBLAS_STATUS_EXECUTION_FAILED"}})
    expect_failure(
        call, [f = function] { ptx::device().fail_next(f, cudaErrorUnknown); }, status);
}

TEST(CudaFailures, ReportASmallWorkspaceBeforeAnyLaunch) {
  for (const auto& [name, call] : {std::pair{"cuda::row_log_probs: ", &Rows::find_log_probs},
                                   {"cuda::row_gradient: ", &Rows::find_gradient},
                                   {"cuda::row_log_probs_and_gradient: ", &Rows::find_both}}) {
    Rows on_device(33000);  // shared by several blocks on devices without clusters
    ptx::device().properties.major = 8;
    const RowMemory whole = on_device.memory;
    const auto make = [&, f = call] { (on_device.*f)(); };
    const auto refuses = ThrowsMessage<InvalidArgument>(
        AllOf(StartsWith(name), HasSubstr("2 rows need"), HasSubstr("bytes of workspace")));
    --on_device.memory.workspace_bytes;
    EXPECT_THAT(make, refuses);
    on_device.memory = {nullptr, whole.workspace_bytes};
    EXPECT_THAT(make, refuses);
    EXPECT_EQ(ptx::device().launches().size(), 0u);
    on_device.memory = whole;
    EXPECT_NO_THROW(make());
    ptx::device().reset();
  }
}

}  // namespace
}  // namespace sp2dpo::cuda
