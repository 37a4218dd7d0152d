// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ptx/device_array.hpp"
#include "ptx/modules.hpp"
#include "ptx/schedules.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/cuda/rows.hpp>

namespace sp2dpo::cuda {
namespace {

using ptx::DeviceArray;

/// Three rows, the second masked, and all outputs.
struct Rows {
  explicit Rows(std::int64_t vocab, DType dtype = DType::bfloat16)
      : bytes(static_cast<std::size_t>(3 * vocab) * size_of(dtype)), logits{nullptr, dtype,
                                                                            3,       vocab,
                                                                            0,       {vocab}} {
    std::uint64_t state = 1;
    for (std::int64_t i = 0; i < 3 * vocab; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      detail::store(bytes.data(), dtype, i, static_cast<double>(state >> 40) * 0x1p-21 - 4);
    }
    labels = {vocab / 2, -100, vocab - 1};
  }

  struct Result {
    std::vector<double> log_prob, lse_others;
    std::vector<unsigned char> gradient;
    bool operator==(const Result&) const = default;
  };

  [[nodiscard]] Result on_device(bool at_once) const {
    const DeviceArray<unsigned char> memory(bytes);
    const DeviceArray<std::int64_t> label(labels);
    const DeviceArray<double> log_prob(3), lse_others(3), coefficient(coefficients);
    const std::size_t workspace_bytes = row_workspace(logits, 3);
    const DeviceArray<unsigned char> workspace(workspace_bytes);
    LogitRows rows = logits;
    rows.data = memory.data();
    const GradientRows gradient{memory.data(), logits.layout};
    const RowMemory scratch{workspace.data(), workspace_bytes};
    const RowStatistics statistics{log_prob.data(), lse_others.data()};
    if (at_once) {
      row_log_probs_and_gradient(rows, {label.data()}, {0, 3}, statistics, coefficient.data(),
                                 gradient, MaskedRows::zero, scratch, nullptr);
    } else {
      row_log_probs(rows, {label.data()}, {0, 3}, statistics, scratch, nullptr);
      row_gradient(rows, {label.data()}, {0, 3}, lse_others.data(), coefficient.data(), gradient,
                   MaskedRows::zero, scratch, nullptr);
    }
    return {log_prob.get(), lse_others.get(), memory.get()};
  }

  [[nodiscard]] Result on_host() const {
    Result result{std::vector<double>(3), std::vector<double>(3), bytes};
    LogitRows rows = logits;
    rows.data = result.gradient.data();
    cpu::row_log_probs_and_gradient(rows, {labels.data()}, {0, 3},
                                    {result.log_prob.data(), result.lse_others.data()},
                                    coefficients.data(), {result.gradient.data(), logits.layout});
    return result;
  }

  std::vector<unsigned char> bytes;
  std::vector<std::int64_t> labels;
  std::vector<double> coefficients{0.25, 1, -0.5};
  LogitRows logits;
};

void expect_close(const Rows& rows, const Rows::Result& got, const Rows::Result& want) {
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_NEAR(got.log_prob[row], want.log_prob[row], 1e-5);
    EXPECT_NEAR(got.lse_others[row], want.lse_others[row], 1e-5);
  }
  for (std::int64_t i = 0; i < 3 * rows.logits.vocab; ++i) {
    const double a = detail::load(got.gradient.data(), rows.logits.dtype, i);
    const double b = detail::load(want.gradient.data(), rows.logits.dtype, i);
    // What lies between two numbers of the type may be rounded to either.
    const double unit = rows.logits.dtype == DType::bfloat16  ? 0x1p-7
                        : rows.logits.dtype == DType::float16 ? 0x1p-10
                                                              : 1e-5;
    ASSERT_NEAR(a, b, unit * std::fabs(b) + 6e-8) << i;
  }
}

TEST(CudaRowsDispatchOnEveryDevice, MatchesTheHost) {
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32}) {
    const Rows rows(2500, dtype);
    const auto want = rows.on_host();
    expect_close(rows, rows.on_device(false), want);
    expect_close(rows, rows.on_device(true), want);
  }
}

std::vector<std::string> kernels_launched() {
  std::vector<std::string> names;
  for (const auto& launch : ptx::device().launches())
    for (const char* name : {"scales_kernel", "unit_gradient_kernel", "finish_kernel",
                             "log_probs_kernel", "gradient_kernel"})
      if (launch.kernel.find(name) != std::string::npos) {
        names.emplace_back(name);
        break;
      }
  ptx::device().launches().clear();
  return names;
}

TEST(CudaRowsDispatch, HasInterpretableKernelsForEveryDevice) {
  for (const unsigned capability : {80u, 86u, 89u, 90u, 100u, 120u})
    for (const void* const function : ptx::modules().functions())
      EXPECT_NE(ptx::modules().find(function, capability), nullptr) << capability;
}

TEST(CudaRowsDispatch, ReadsOnceOnlyWithClusters) {
  const Rows rows(2500);
  const auto on_90 = rows.on_device(true);
  EXPECT_THAT(kernels_launched(), testing::ElementsAre("unit_gradient_kernel"));
  ptx::device().properties.major = 8;
  ptx::device().properties.largest_cluster = 0;
  expect_close(rows, rows.on_device(true), on_90);
  EXPECT_THAT(kernels_launched(), testing::ElementsAre("log_probs_kernel", "gradient_kernel"));
}

/// A slice of a GPU may hold no cluster of the size that a row needs.
TEST(CudaRowsDispatch, ReadsTwiceWhereNoClusterFindsRoom) {
  for (const auto& [vocab, largest] : {std::pair{70000, 2u}, {140000, 4u}}) {
    const Rows rows(vocab);
    const auto in_a_cluster = rows.on_device(true);
    EXPECT_THAT(kernels_launched(), testing::ElementsAre("unit_gradient_kernel"));
    ptx::device().properties.largest_cluster = largest;
    expect_close(rows, rows.on_device(true), in_a_cluster);
    EXPECT_THAT(kernels_launched(), testing::Not(testing::Contains("unit_gradient_kernel")));
    ptx::device().properties.largest_cluster = 8;
  }
}

TEST(CudaRowsDispatch, UsesAsManyBlocksAsTheRowNeeds) {
  const auto cluster_of = [](std::int64_t vocab, DType dtype) {
    (void)Rows(vocab, dtype).on_device(true);
    const auto cluster = ptx::device().launches().back().cluster[0];
    ptx::device().launches().clear();
    return cluster;
  };
  EXPECT_EQ(cluster_of(32768, DType::bfloat16), 1u);
  EXPECT_EQ(cluster_of(32769, DType::bfloat16), 2u);
  EXPECT_EQ(cluster_of(32769, DType::float32), 4u);
}

TEST(CudaRowsDispatch, SharesFewLongRowsAmongBlocks) {
  const Rows rows(33000);
  (void)rows.on_device(false);
  EXPECT_THAT(kernels_launched(), testing::ElementsAre("log_probs_kernel", "finish_kernel",
                                                       "scales_kernel", "gradient_kernel"));
}

TEST(CudaRowsDispatch, IsBitIdenticalInEveryThreadOrder) {
  for (const std::int64_t vocab : {1003, 33001})
    for (const bool at_once : {false, true}) {
      const Rows rows(vocab);
      const auto first = rows.on_device(at_once);
      ptx::for_each_schedule([&] {
        EXPECT_TRUE(rows.on_device(at_once) == first)
            << "vocabulary " << vocab << ", order "
            << static_cast<int>(ptx::device().schedule.order);
      });
    }
}

TEST(CudaRowsDispatch, ToleratesTheErrorOfApproximateInstructions) {
  using Error = ptx::Approximation::Error;
  const Rows rows(4099);
  const auto want = rows.on_host();
  for (const auto error : {Error::lowest, Error::highest, Error::seeded}) {
    ptx::approximation() = {error, 3};
    for (const bool at_once : {false, true}) expect_close(rows, rows.on_device(at_once), want);
  }
  ptx::approximation() = {};
}

TEST(CudaRowsDispatch, CanBeCaptured) {
  const Rows rows(33000);
  const DeviceArray<unsigned char> memory(rows.bytes);
  const DeviceArray<std::int64_t> label(rows.labels);
  const DeviceArray<double> log_prob(3), lse_others(3), coefficient(rows.coefficients);
  const std::size_t workspace_bytes = row_workspace(rows.logits, 3);
  const DeviceArray<unsigned char> workspace(workspace_bytes);
  LogitRows logits = rows.logits;
  logits.data = memory.data();
  ptx::device().is_capturing = true;
  row_log_probs(logits, {label.data()}, {0, 3}, {log_prob.data(), lse_others.data()},
                {workspace.data(), workspace_bytes}, nullptr);
  row_gradient(logits, {label.data()}, {0, 3}, lse_others.data(), coefficient.data(),
               {memory.data(), logits.layout}, MaskedRows::zero,
               {workspace.data(), workspace_bytes}, nullptr);
  row_log_probs_and_gradient(logits, {label.data()}, {0, 3}, {log_prob.data(), lse_others.data()},
                             coefficient.data(), {memory.data(), logits.layout}, MaskedRows::zero,
                             {workspace.data(), workspace_bytes}, nullptr);
  ptx::device().is_capturing = false;
}

}  // namespace
}  // namespace sp2dpo::cuda
