// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../loss/pair_columns.hpp"
#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include "ptx/schedules.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cuda {
namespace {

using ptx::device;
using ptx::DeviceArray;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

using Bytes = std::vector<unsigned char>;

constexpr std::array all_dtypes{DType::float16, DType::bfloat16, DType::float32, DType::float64};
constexpr std::size_t columns_in = 7, columns_out = 8;

/// The relative error of one rounding; for float64, the difference of exp and log on the two sides.
double rounding(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return 0x1p-10;
    case DType::bfloat16:
      return 0x1p-7;
    case DType::float32:
      return 0x1p-23;
    case DType::float64:
      break;
  }
  return 1e-13;
}

/// The inputs of a batch by column, in every second element of memory, to test strides.
struct Batch {
  Batch(DType dtype_, std::int64_t pairs_) : dtype(dtype_), pairs(pairs_) {
    std::mt19937_64 random(static_cast<std::uint64_t>(pairs));
    constexpr double low[columns_in] = {-9, -9, -9, -9, 0.03, -1, 0};
    constexpr double high[columns_in] = {-1, -1, -1, -1, 0.3, 1, 3};
    for (std::size_t c = 0; c < columns_in; ++c) {
      std::uniform_real_distribution<double> uniform(low[c], high[c]);
      columns.emplace_back(static_cast<std::size_t>(2 * pairs) * size_of(dtype));
      for (std::int64_t i = 0; i < 2 * pairs; ++i)
        sp2dpo::detail::store(columns.back().data(), dtype, i, uniform(random));
    }
  }

  /// The columns, at these addresses.
  template <class At>
  [[nodiscard]] PairInputs inputs(const At& at) const {
    const auto column = [&](std::size_t c) { return PairValues(at(c), dtype, 2); };
    return {column(0), column(1), column(2), column(3), column(4), column(5), column(6)};
  }

  DType dtype;
  std::int64_t pairs;
  std::vector<Bytes> columns;
};

struct Results {
  std::vector<Bytes> columns;
  Bytes total;
  bool operator==(const Results&) const = default;
};

template <class At>
PairOutputs outputs(const At& at, DType dtype, double scale) {
  const auto column = [&](std::size_t c) { return PairSink(at(c), dtype); };
  return {column(0), column(1), column(2), column(3), column(4),
          column(5), column(6), column(7), scale};
}

Results run_on_host(const Batch& batch, const AnyObjective& objective) {
  Results results{std::vector<Bytes>(columns_out), Bytes(sizeof(double))};
  for (Bytes& column : results.columns)
    column.resize(static_cast<std::size_t>(batch.pairs) * size_of(batch.dtype));
  const double scale = 1.0 / static_cast<double>(batch.pairs);
  const double sum = objective.pair_loss(
      batch.inputs([&](std::size_t c) { return batch.columns[c].data(); }),
      outputs([&](std::size_t c) { return results.columns[c].data(); }, batch.dtype, scale), 0,
      batch.pairs);
  const double total = scale * sum;
  std::memcpy(results.total.data(), &total, sizeof total);
  return results;
}

Results run_on_device(const Batch& batch, const AnyObjective& objective, Stream stream = nullptr) {
  std::vector<std::unique_ptr<DeviceArray<unsigned char>>> in, out;
  for (const Bytes& column : batch.columns)
    in.push_back(std::make_unique<DeviceArray<unsigned char>>(column));
  for (std::size_t c = 0; c < columns_out; ++c)
    out.push_back(std::make_unique<DeviceArray<unsigned char>>(
        static_cast<std::size_t>(batch.pairs) * size_of(batch.dtype)));
  DeviceArray<unsigned char> total(sizeof(double));
  const std::size_t bytes = pair_loss_workspace(batch.pairs);
  DeviceArray<unsigned char> workspace(bytes);
  {
    const ptx::Capture capture;
    pair_loss({.in = batch.inputs([&](std::size_t c) { return in[c]->data(); }),
               .out = outputs([&](std::size_t c) { return out[c]->data(); }, batch.dtype,
                              1.0 / static_cast<double>(batch.pairs)),
               .total = {total.data(), DType::float64},
               .pairs = batch.pairs,
               .workspace = workspace.data(),
               .workspace_bytes = bytes},
              objective, stream);
  }
  Results results{{}, total.get()};
  for (const auto& column : out) results.columns.push_back(column->get());
  return results;
}

void expect_near(const Results& actual, const Results& expected, const Batch& batch,
                 const std::string& what) {
  for (std::size_t c = 0; c < columns_out; ++c)
    for (std::int64_t i = 0; i < batch.pairs; ++i) {
      const double a = sp2dpo::detail::load(actual.columns[c].data(), batch.dtype, i);
      const double b = sp2dpo::detail::load(expected.columns[c].data(), batch.dtype, i);
      // Below, what float16 has in steps of 2^−24.
      const double tolerance =
          std::fabs(b) * rounding(batch.dtype) + (batch.dtype == DType::float16 ? 0x1p-24 : 1e-15);
      ASSERT_LE(std::fabs(a - b), tolerance)
          << what << ", " << name_of(batch.dtype) << ", output " << c << " of pair " << i << " of "
          << batch.pairs << ": " << a << " for " << b;
      ASSERT_FALSE(std::isnan(a));
    }
  const double a = sp2dpo::detail::load(actual.total.data(), DType::float64, 0);
  const double b = sp2dpo::detail::load(expected.total.data(), DType::float64, 0);
  ASSERT_LE(std::fabs(a - b), std::fabs(b) * 1e-12) << what;
}

TEST(CudaPairLossRunOnEveryDevice, MatchesTheHostForEveryObjectiveAndElementType) {
  const auto check = [](const AnyObjective& objective) {
    for (const DType dtype : all_dtypes)
      for (const std::int64_t pairs : {1, 33, 777}) {
        const Batch batch(dtype, pairs);
        expect_near(run_on_device(batch, objective), run_on_host(batch, objective), batch,
                    objective.name());
      }
  };
  [&]<class... O>(ObjectiveList<O...>) { (check(O{}), ...); }(BuiltInObjectives());
}

TEST(CudaPairLossRun, MatchesTheFormulaInExtendedPrecision) {
  const Batch batch(DType::float64, 1000);
  const Results results = run_on_device(batch, Sigmoid{});
  const auto in = [&](std::size_t c, std::int64_t i) -> long double {
    return sp2dpo::detail::load(batch.columns[c].data(), DType::float64, 2 * i);
  };
  for (std::int64_t i = 0; i < batch.pairs; ++i) {
    const long double delta = (in(0, i) - in(2, i)) - (in(1, i) - in(3, i));
    const long double z = in(4, i) * delta - in(5, i);
    const auto loss = static_cast<double>(in(6, i) * std::log1p(std::exp(-z)));
    const auto slope = static_cast<double>(-in(6, i) * in(4, i) / (1 + std::exp(z)) / 1000);
    const auto out = [&](std::size_t c) {
      return sp2dpo::detail::load(results.columns[c].data(), DType::float64, i);
    };
    ASSERT_NEAR(out(0), loss, 1e-14 * (1 + loss));
    ASSERT_NEAR(out(1), slope, 1e-14 * std::fabs(slope) + 1e-18);
  }
}

TEST(CudaPairLossRun, NeedsOneLaunchUpTo4096PairsAndTwoBeyond) {
  for (const std::int64_t pairs : {511, 512, 513, 4095, 4096, 4097, 6000}) {
    const Batch batch(DType::float32, pairs);
    device().launches().clear();
    expect_near(run_on_device(batch, Sigmoid{}), run_on_host(batch, Sigmoid{}), batch, "sigmoid");
    EXPECT_THAT(device().launches(), SizeIs(pairs <= 4096 ? 1 : 2));
  }
}

TEST(CudaPairLossRun, GivesTheSameBitsUnderEverySchedule) {
  for (const std::int64_t pairs : {700, 4097}) {
    const Batch batch(DType::bfloat16, pairs);
    const Results first = run_on_device(batch, Sigmoid{});
    ptx::for_each_schedule([&] { EXPECT_EQ(run_on_device(batch, Sigmoid{}), first); });
  }
}

TEST(CudaPairLossRun, ToleratesTheErrorOfApproximateInstructions) {
  const Batch batch(DType::float64, 300);
  for (const auto error : {ptx::Approximation::Error::lowest, ptx::Approximation::Error::highest,
                           ptx::Approximation::Error::seeded}) {
    ptx::approximation() = {error, 7};
    [&]<class... O>(ObjectiveList<O...>) {
      (expect_near(run_on_device(batch, O{}), run_on_host(batch, O{}), batch, O::name), ...);
    }(BuiltInObjectives());
  }
}

TEST(CudaPairLossRun, RunsTheOlderCodeOnAnOlderDevice) {
  device().properties.major = 8;
  const Batch batch(DType::float16, 100);
  expect_near(run_on_device(batch, Sigmoid{}), run_on_host(batch, Sigmoid{}), batch, "sigmoid");
}

TEST(CudaPairLossRun, GivesNanForAPairOutOfRangeOnly) {
  Batch batch(DType::float64, 40);
  sp2dpo::detail::store(batch.columns[4].data(), DType::float64, 2 * 17, -0.1);
  const Results results = run_on_device(batch, Sigmoid{});
  for (std::int64_t i = 0; i < 40; ++i)
    EXPECT_EQ(std::isnan(sp2dpo::detail::load(results.columns[0].data(), DType::float64, i)),
              i == 17);
  EXPECT_TRUE(std::isnan(sp2dpo::detail::load(results.total.data(), DType::float64, 0)));
}

// Errors.

void expect_usable() {
  const Batch batch(DType::float64, 5);
  expect_near(run_on_device(batch, Sigmoid{}), run_on_host(batch, Sigmoid{}), batch, "afterwards");
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
}

TEST(CudaPairLossRun, NamesTheCallAndTheErrorOfALaunchThatFails) {
  const Batch batch(DType::float64, 5);
  device().fail_next("launch", cudaErrorLaunchOutOfResources);
  EXPECT_THAT([&] { run_on_device(batch, Sigmoid{}); },
              ThrowsMessage<CudaError>(
                  AllOf(HasSubstr("cuda::pair_loss"), HasSubstr("cudaErrorLaunchOutOfResources"))));
  expect_usable();
}

TEST(CudaPairLossRun, NamesTheErrorOfADeviceItIsNotCompiledFor) {
  device().properties.major = 7;
  EXPECT_THAT([] { run_on_device(Batch(DType::float64, 5), Sigmoid{}); },
              ThrowsMessage<CudaError>(HasSubstr("cudaErrorNoKernelImageForDevice")));
  device().properties.major = 9;
  expect_usable();
}

TEST(CudaPairLossRun, NamesTheErrorOfAnInvalidStream) {
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  const Batch batch(DType::float64, 5);
  expect_near(run_on_device(batch, Sigmoid{}, stream), run_on_host(batch, Sigmoid{}), batch, "");
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_THAT([&] { run_on_device(batch, Sigmoid{}, stream); },
              ThrowsMessage<CudaError>(HasSubstr("cudaErrorInvalidResourceHandle")));
  expect_usable();
}

TEST(CudaPairLossRun, RefusesANullArrayByNameBeforeAnyLaunch) {
  for (const auto& [input, name] : test::pair_inputs) {
    PairLossArgs args{.in = {.beta = 0.1}, .pairs = 3};
    args.in.*input = {nullptr, DType::bfloat16};
    const auto refuses = ThrowsMessage<InvalidArgument>(
        HasSubstr("cuda::pair_loss: in." + name + " is null; expected"));
    EXPECT_THAT([&] { pair_loss(args, Sigmoid{}, nullptr); }, refuses);
    EXPECT_THAT([&] { pair_loss(args, AnyObjective(NcaPair{}), nullptr); }, refuses);
    args.pairs = 0;
    pair_loss(args, Sigmoid{}, nullptr);
  }
  EXPECT_THAT(device().launches(), SizeIs(0));
}

TEST(CudaPairLossRun, RefusesAWorkspaceThatIsNullOrTooSmall) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{71}})
    EXPECT_THAT(
        [&] {
          pair_loss({.pairs = 4097, .workspace_bytes = bytes}, AnyObjective(Sigmoid{}), nullptr);
        },
        ThrowsMessage<InvalidArgument>(
            AllOf(HasSubstr("cuda::pair_loss"), HasSubstr("72 bytes"), HasSubstr("workspace"))));
  EXPECT_THAT(device().launches(), SizeIs(0));
}

}  // namespace
}  // namespace sp2dpo::cuda
