// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "ptx/device_array.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cuda {
namespace {

using ptx::DeviceArray;

/// Inputs and outputs by pair, column by column.
constexpr std::size_t columns_in = 7, columns_out = 8;
using Column = std::vector<double>;

std::vector<Column> numbers(std::size_t pairs) {
  constexpr double low[columns_in] = {-9, -9, -9, -9, 0.03, -1, 0};
  constexpr double high[columns_in] = {-1, -1, -1, -1, 0.3, 1, 3};
  std::mt19937_64 random(pairs);
  std::vector<Column> columns;
  for (std::size_t c = 0; c < columns_in; ++c) {
    std::uniform_real_distribution<double> uniform(low[c], high[c]);
    for (double& x : columns.emplace_back(pairs)) x = uniform(random);
  }
  return columns;
}

template <class Columns>
PairInputs inputs(const Columns& at) {
  const auto column = [&](std::size_t c) { return PairValues(at[c].data(), DType::float64); };
  return {column(0), column(1), column(2), column(3), column(4), column(5), column(6)};
}

template <class Columns>
PairOutputs outputs(Columns& at, std::size_t pairs) {
  const auto column = [&](std::size_t c) { return PairSink(at[c].data(), DType::float64); };
  return {column(0), column(1), column(2),
          column(3), column(4), column(5),
          column(6), column(7), 1.0 / static_cast<double>(pairs)};
}

/// Takes one launch for 37 pairs and two for 4100.
void expect_same_as_on_host(const AnyObjective& objective, std::size_t pairs) {
  SCOPED_TRACE(std::string(objective.name()) + ", " + std::to_string(pairs) + " pairs");
  const std::vector<Column> given = numbers(pairs);
  std::vector<Column> want(columns_out, Column(pairs));
  const auto count = static_cast<std::int64_t>(pairs);
  const PairOutputs host = outputs(want, pairs);
  const double total = host.gradient_scale * objective.pair_loss(inputs(given), host, 0, count);

  std::deque<DeviceArray<double>> in, got;  // which do not move
  for (const Column& column : given) in.emplace_back(column);
  for (std::size_t c = 0; c < columns_out; ++c) got.emplace_back(pairs);
  const DeviceArray<double> sum(1);
  const std::size_t bytes = pair_loss_workspace(count);
  const DeviceArray<unsigned char> workspace(bytes);
  pair_loss({.in = inputs(in),
             .out = outputs(got, pairs),
             .total = {sum.data(), DType::float64},
             .pairs = count,
             .workspace = workspace.data(),
             .workspace_bytes = bytes},
            objective, nullptr);
  // exp and log may differ in their last bits on the two sides.
  constexpr double tolerance = 1e-12;
  EXPECT_NEAR(sum.get()[0], total, tolerance * std::fabs(total));
  for (std::size_t c = 0; c < columns_out; ++c) {
    const Column column = got[c].get();
    for (std::size_t i = 0; i < pairs; ++i)
      ASSERT_NEAR(column[i], want[c][i], tolerance * std::fabs(want[c][i]) + 1e-15)
          << "output " << c << " of pair " << i;
  }
}

TEST(CudaObjectives, MatchTheHost) {
  [&]<class... O>(ObjectiveList<O...>) {
    (expect_same_as_on_host(O{}, 37), ...);
  }(BuiltInObjectives());
  expect_same_as_on_host(Sigmoid{}, 4100);
}

}  // namespace
}  // namespace sp2dpo::cuda
