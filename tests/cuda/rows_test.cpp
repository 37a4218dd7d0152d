// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ptx/device_array.hpp"
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>

#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cuda {
namespace {

using ptx::DeviceArray;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t ignored = -100;
constexpr DType all_dtypes[] = {DType::float16, DType::bfloat16, DType::float32};

double rounding(DType dtype) {
  return dtype == DType::float16 ? 0x1p-11 : dtype == DType::bfloat16 ? 0x1p-8 : 0x1p-24;
}
double underflow(DType dtype) {
  return dtype == DType::float16 ? 0x1p-25 : 0x1p-126;
}
/// The error that float sums and exponentials to two units in the last place may add.
constexpr double arithmetic = 2e-6;

/// Rows on the host, with padding columns and gaps between rows. All memory that is not a logit
/// holds NaN.
struct Batch {
  Batch(DType dtype_, std::int64_t rows, std::int64_t vocab, std::int64_t padding = 0,
        std::int64_t gap = 0, std::int64_t first_ = 1)
      : dtype(dtype_),
        first(first_),
        memory(static_cast<std::size_t>(first + rows * (vocab + padding + gap)) * size_of(dtype)),
        labels(static_cast<std::size_t>(rows)),
        coefficient(static_cast<std::size_t>(rows)),
        logits{nullptr, dtype, rows, vocab, vocab + padding, {vocab + padding + gap}} {
    for (std::int64_t i = 0; i < first + rows * logits.layout.stride; ++i)
      detail::store(memory.data(), dtype, i, nan);
    std::mt19937_64 random(static_cast<std::uint64_t>(rows * 1000003 + vocab));
    std::normal_distribution<double> spread(3, 2);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t j = 0; j < vocab; ++j) set(row, j, spread(random));
      label(row) = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocab));
      coefficient[static_cast<std::size_t>(row)] = (row % 2 == 0 ? 0.07 : -0.03) * double(row + 1);
    }
  }

  [[nodiscard]] std::int64_t place(std::int64_t row, std::int64_t column) const {
    return first + logits.layout.offset(row) + column;
  }
  void set(std::int64_t row, std::int64_t column, double value) {
    detail::store(memory.data(), dtype, place(row, column), value);
  }
  [[nodiscard]] double get(std::int64_t row, std::int64_t column) const {
    return detail::load(memory.data(), dtype, place(row, column));
  }
  std::int64_t& label(std::int64_t row) { return labels[static_cast<std::size_t>(row)]; }
  void mask(std::int64_t row) {
    label(row) = ignored;
    for (std::int64_t j = 0; j < logits.padded_vocab; ++j) set(row, j, nan);
  }

  DType dtype;
  std::int64_t first;  // elements before the first row: none is aligned
  std::vector<unsigned char> memory;
  std::vector<std::int64_t> labels;
  std::vector<double> coefficient;
  LogitRows logits;
};

/// A batch and all outputs, on the device.
struct OnDevice {
  explicit OnDevice(const Batch& batch)
      : memory(batch.memory),
        labels(batch.labels),
        coefficient(batch.coefficient),
        log_prob(batch.labels.size()),
        lse_others(batch.labels.size()),
        logit_sum(batch.labels.size()),
        workspace(row_workspace(batch.logits, batch.logits.rows)),
        workspace_bytes(row_workspace(batch.logits, batch.logits.rows)),
        bad_row(std::vector{no_bad_row}),
        logits(batch.logits),
        row_labels{labels.data(), ignored},
        all{0, batch.logits.rows} {
    logits.data = memory.data() + static_cast<std::size_t>(batch.first) * size_of(batch.dtype);
  }

  [[nodiscard]] RowMemory row_memory() const {
    return {workspace.data(), workspace_bytes, bad_row.data()};
  }
  [[nodiscard]] RowStatistics statistics() const { return {log_prob.data(), lse_others.data()}; }
  [[nodiscard]] GradientRows in_place() const {
    return {const_cast<void*>(logits.data), logits.layout};
  }
  void find_log_probs() const {
    row_log_probs(logits, row_labels, all, statistics(), row_memory(), nullptr);
  }
  void find_gradient(MaskedRows masked = MaskedRows::zero) const {
    row_gradient(logits, row_labels, all, lse_others.data(), coefficient.data(), in_place(), masked,
                 row_memory(), nullptr);
  }
  void find_both(MaskedRows masked = MaskedRows::zero) const {
    row_log_probs_and_gradient(logits, row_labels, all, statistics(), coefficient.data(),
                               in_place(), masked, row_memory(), nullptr);
  }
  /// Log-probabilities and gradient in one call, or in two.
  void find(bool at_once) const {
    if (at_once) {
      find_both();
    } else {
      find_log_probs();
      find_gradient();
    }
  }

  DeviceArray<unsigned char> memory;
  DeviceArray<std::int64_t> labels;
  DeviceArray<double> coefficient, log_prob, lse_others, logit_sum;
  DeviceArray<unsigned char> workspace;
  std::size_t workspace_bytes;
  DeviceArray<std::uint64_t> bad_row;
  LogitRows logits;
  RowLabels row_labels;
  RowSelection all;
};

/// A row computed in two passes with 64-bit mantissas.
struct Reference {
  Reference(const Batch& batch, std::int64_t row) {
    const std::int64_t vocab = batch.logits.vocab;
    const std::int64_t y = batch.labels[static_cast<std::size_t>(row)];
    long double max = -inf;
    for (std::int64_t j = 0; j < vocab; ++j) max = std::max<long double>(max, batch.get(row, j));
    long double all = 0, others = 0;
    std::vector<long double> terms;
    for (std::int64_t j = 0; j < vocab; ++j) {
      terms.push_back(std::exp(static_cast<long double>(batch.get(row, j)) - max));
      all += terms.back();
      if (j != y) others += terms.back();
      logit_sum += batch.get(row, j);
    }
    lse_others = static_cast<double>(max + std::log(others));
    log_prob = static_cast<double>(-std::log1p(others / terms[static_cast<std::size_t>(y)]));
    const double coefficient = batch.coefficient[static_cast<std::size_t>(row)];
    for (std::int64_t j = 0; j < vocab; ++j)
      gradient.push_back(static_cast<double>(
          coefficient * (j == y ? others / all : -terms[static_cast<std::size_t>(j)] / all)));
  }

  double log_prob, lse_others, logit_sum = 0;
  std::vector<double> gradient;
};

void expect_statistics(const Batch& batch, const OnDevice& device) {
  const auto log_prob = device.log_prob.get();
  const auto lse_others = device.lse_others.get();
  for (std::size_t row = 0; row < batch.labels.size(); ++row) {
    if (batch.labels[row] == ignored) {
      EXPECT_EQ(log_prob[row], 0) << "row " << row;
      EXPECT_EQ(lse_others[row], 0) << "row " << row;
      continue;
    }
    const Reference expected(batch, static_cast<std::int64_t>(row));
    EXPECT_NEAR(log_prob[row], expected.log_prob, arithmetic * (1 + std::fabs(expected.log_prob)))
        << "row " << row;
    if (batch.logits.vocab > 1) {
      EXPECT_NEAR(lse_others[row], expected.lse_others,
                  arithmetic * (1 + std::fabs(expected.lse_others)))
          << "row " << row;
    }
  }
}

/// `memory` holds what the gradient of the batch should be, in the batch's layout.
void expect_gradient(const Batch& batch, const std::vector<unsigned char>& memory,
                     MaskedRows masked = MaskedRows::zero) {
  Batch gradient = batch;
  gradient.memory = memory;
  for (std::int64_t row = 0; row < batch.logits.rows; ++row) {
    const std::int64_t label = batch.labels[static_cast<std::size_t>(row)];
    if (label == ignored) {
      for (std::int64_t j = 0; j < batch.logits.padded_vocab; ++j) {
        if (masked == MaskedRows::zero)
          ASSERT_EQ(gradient.get(row, j), 0) << "row " << row << ", column " << j;
        else
          ASSERT_TRUE(std::isnan(gradient.get(row, j))) << "row " << row << ", column " << j;
      }
      continue;
    }
    const Reference expected(batch, row);
    for (std::int64_t j = 0; j < batch.logits.vocab; ++j) {
      const double want = expected.gradient[static_cast<std::size_t>(j)];
      ASSERT_NEAR(
          gradient.get(row, j), want,
          std::fabs(want) * (rounding(batch.dtype) + 2 * arithmetic) + underflow(batch.dtype))
          << "row " << row << ", column " << j << (j == label ? ", the label" : "");
    }
    for (std::int64_t j = batch.logits.vocab; j < batch.logits.padded_vocab; ++j)
      ASSERT_EQ(gradient.get(row, j), 0) << "row " << row << ", padding column " << j;
  }
  // Between the rows nothing is written.
  for (std::int64_t row = 0; row < batch.logits.rows; ++row)
    for (std::int64_t j = batch.logits.padded_vocab; j < batch.logits.layout.stride; ++j)
      ASSERT_TRUE(std::isnan(gradient.get(row, j))) << "after row " << row << ", column " << j;
}

/// Computes both by two calls and by one.
void expect_both_ways(const Batch& batch) {
  const OnDevice two_calls(batch), at_once(batch);
  two_calls.find_log_probs();
  expect_statistics(batch, two_calls);
  two_calls.find_gradient();
  expect_gradient(batch, two_calls.memory.get());
  at_once.find_both();
  expect_statistics(batch, at_once);
  expect_gradient(batch, at_once.memory.get());
  EXPECT_EQ(two_calls.bad_row.get()[0], no_bad_row);
  EXPECT_EQ(at_once.bad_row.get()[0], no_bad_row);
}

/// Sizes around a vector, a block's round of vectors, and what is left of one.
std::vector<std::int64_t> vocabularies(DType dtype) {
  const std::int64_t round = 512 * 16 / static_cast<std::int64_t>(size_of(dtype));
  return {1, 2, 7, 8, 9, 17, 33, 257, 1000, round - 1, round + 9, 4 * round + 3};
}

TEST(CudaRows, MatchExtendedPrecision) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : vocabularies(dtype)) {
      SCOPED_TRACE(testing::Message() << name_of(dtype) << ", vocabulary " << vocab);
      Batch batch(dtype, 4, vocab, 5, 2);
      batch.label(0) = 0;
      batch.mask(1);
      batch.label(2) = vocab - 1;
      expect_both_ways(batch);
    }
}

// Rows that several blocks share, with a label at both sides of each border between them.
TEST(CudaRows, TakeALabelAtTheEdgesOfEachBlocksPart) {
  for (const DType dtype : all_dtypes) {
    // Three parts in row_log_probs; in clusters two blocks, or four for 32-bit logits.
    constexpr std::int64_t vocab = 32768 + 8 + 3;
    SCOPED_TRACE(testing::Message() << name_of(dtype));
    const auto per_vector = static_cast<std::int64_t>(16 / size_of(dtype));
    std::vector<std::int64_t> places;
    for (const std::int64_t parts : {2, 4}) {
      // The first row begins one element after a boundary, so per_vector − 1 are single.
      const std::int64_t head = per_vector - 1, vectors = (vocab - head) / per_vector;
      for (std::int64_t part = 1; part < parts; ++part) {
        const std::int64_t border = head + vectors * part / parts * per_vector;
        places.insert(places.end(), {border - 1, border});
      }
    }
    for (const std::int64_t place : places) {
      Batch batch(dtype, 1, vocab);
      batch.label(0) = place;
      SCOPED_TRACE(testing::Message() << "label " << place);
      ASSERT_GT(OnDevice(batch).workspace_bytes, 0u);
      expect_both_ways(batch);
    }
  }
}

TEST(CudaRows, TakeALabelAtEveryIndexOfAVector) {
  for (const DType dtype : all_dtypes) {
    SCOPED_TRACE(testing::Message() << name_of(dtype));
    constexpr std::int64_t rows = 24;
    Batch batch(dtype, rows, 2 * rows);
    for (std::int64_t row = 0; row < rows; ++row) batch.label(row) = row;
    expect_both_ways(batch);
  }
}

TEST(CudaRows, WriteAGradientOutOfPlaceWithAnyAlignment) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t first : {1, 2, 8}) {
      SCOPED_TRACE(testing::Message() << name_of(dtype) << ", " << first << " elements in");
      Batch batch(dtype, 2, 1003, 2, 1);
      batch.mask(1);
      Batch gradient(dtype, 2, 1003, 2, 1, first);
      for (std::int64_t row = 0; row < 2; ++row)
        for (std::int64_t j = 0; j < 1005; ++j) gradient.set(row, j, nan);
      const OnDevice device(batch);
      const DeviceArray<unsigned char> two_calls(gradient.memory), at_once(gradient.memory);
      const auto rows_of = [&](const DeviceArray<unsigned char>& memory) {
        return GradientRows{memory.data() + static_cast<std::size_t>(first) * size_of(dtype),
                            device.logits.layout};
      };
      row_log_probs_and_gradient(device.logits, device.row_labels, device.all, device.statistics(),
                                 device.coefficient.data(), rows_of(at_once), MaskedRows::leave,
                                 device.row_memory(), nullptr);
      row_gradient(device.logits, device.row_labels, device.all, device.lse_others.data(),
                   device.coefficient.data(), rows_of(two_calls), MaskedRows::zero,
                   device.row_memory(), nullptr);
      EXPECT_EQ(device.memory.get(), batch.memory) << "the logits are left as they are";
      Batch expected(dtype, 2, 1003, 2, 1, first);
      expected.labels = batch.labels;
      expect_gradient(expected, two_calls.get(), MaskedRows::zero);
      expect_gradient(expected, at_once.get(), MaskedRows::leave);
    }
}

TEST(CudaRows, LeaveMaskedRowsUntouchedOnRequest) {
  Batch batch(DType::bfloat16, 3, 300, 4, 1);
  batch.mask(1);
  const OnDevice two_calls(batch), at_once(batch);
  two_calls.find_log_probs();
  two_calls.find_gradient(MaskedRows::leave);
  expect_gradient(batch, two_calls.memory.get(), MaskedRows::leave);
  at_once.find_both(MaskedRows::leave);
  expect_gradient(batch, at_once.memory.get(), MaskedRows::leave);
}

TEST(CudaRows, WithCoefficientZeroAreNotRead) {
  Batch batch(DType::float16, 2, 300);
  const OnDevice device(batch);
  device.find_log_probs();
  const DeviceArray<double> coefficient(std::vector{0.0, 1.0});
  const DeviceArray<unsigned char> never_written(batch.memory.size());
  const DeviceArray<unsigned char> out(batch.memory);
  // The first row alone, from memory that was never written.
  LogitRows unread = device.logits;
  unread.data = never_written.data();
  row_gradient(unread, device.row_labels, {0, 1}, device.lse_others.data(), coefficient.data(),
               {out.data(), unread.layout}, MaskedRows::zero, device.row_memory(), nullptr);
  row_gradient(device.logits, device.row_labels, {1, 1}, device.lse_others.data(),
               coefficient.data(), {out.data(), unread.layout}, MaskedRows::zero,
               device.row_memory(), nullptr);
  const auto bytes = out.get();
  for (std::int64_t j = 0; j < 300; ++j) {
    ASSERT_EQ(detail::load(bytes.data(), DType::float16, j), 0);
    ASSERT_NE(detail::load(bytes.data(), DType::float16, 300 + j), 0);
  }
}

TEST(CudaRowsOnEveryDevice, SumTheLogitsOnRequest) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {2000, 33000}) {
      Batch batch(dtype, 2, vocab);
      batch.mask(1);
      const OnDevice device(batch);
      const double expected = Reference(batch, 0).logit_sum;
      RowStatistics statistics = device.statistics();
      statistics.logit_sum = device.logit_sum.data();
      row_log_probs(device.logits, device.row_labels, device.all, statistics, device.row_memory(),
                    nullptr);
      EXPECT_NEAR(device.logit_sum.get()[0], expected, 1e-6 * std::fabs(expected));
      EXPECT_EQ(device.logit_sum.get()[1], 0);
      expect_statistics(batch, device);
      row_log_probs_and_gradient(device.logits, device.row_labels, device.all, statistics,
                                 device.coefficient.data(), device.in_place(), MaskedRows::zero,
                                 device.row_memory(), nullptr);
      EXPECT_NEAR(device.logit_sum.get()[0], expected, 1e-6 * std::fabs(expected));
      expect_gradient(batch, device.memory.get());
    }
}

TEST(CudaRows, UseTheGivenLogitOfTheLabel) {
  Batch batch(DType::bfloat16, 1, 500);
  const OnDevice device(batch);
  const double lse_others = Reference(batch, 0).lse_others;
  const DeviceArray<double> logit(std::vector{4.0009765625});  // no bfloat16
  RowLabels labels = device.row_labels;
  labels.logit = logit.data();
  row_log_probs(device.logits, labels, device.all, device.statistics(), device.row_memory(),
                nullptr);
  const double d = lse_others - 4.0009765625;
  EXPECT_NEAR(device.log_prob.get()[0], -std::log1p(std::exp(d)), 1e-6);
}

TEST(CudaRows, TouchOnlyTheSelectedRows) {
  Batch batch(DType::bfloat16, 6, 40);
  batch.label(0) = 1000000;  // not selected, so not read
  const OnDevice device(batch);
  const DeviceArray<double> log_prob(std::vector<double>(6, nan));
  const DeviceArray<std::int64_t> list(std::vector<std::int64_t>{0, 5, 3, 2});
  row_log_probs(device.logits, device.row_labels, {1, 2, list.data()}, {log_prob.data()},
                device.row_memory(), nullptr);
  row_log_probs(device.logits, device.row_labels, {1, 1}, {log_prob.data()}, device.row_memory(),
                nullptr);
  for (const std::int64_t row : {1, 3, 5})
    EXPECT_NEAR(log_prob.get()[std::size_t(row)], Reference(batch, row).log_prob, 1e-5);
  for (const std::size_t row : {0, 2, 4}) EXPECT_TRUE(std::isnan(log_prob.get()[row]));
}

TEST(CudaRows, MayLieInStridedBlocks) {
  // A tensor [2, 3, 20] cut out of one [2, 4, 25].
  Batch batch(DType::float32, 8, 20, 0, 5);
  const std::vector<std::int64_t> labels{0, 1, 2, 3, 4, 5};
  const OnDevice device(batch);
  LogitRows blocks = device.logits;
  blocks.rows = 6;
  blocks.layout = {.stride = 25, .inner = 3, .outer_stride = 100};
  const DeviceArray<std::int64_t> on_device(labels);
  const DeviceArray<double> log_prob(6);
  row_log_probs(blocks, {on_device.data()}, {0, 6}, {log_prob.data()}, device.row_memory(),
                nullptr);
  for (std::int64_t row = 0; row < 6; ++row) {
    const std::int64_t whole = row / 3 * 4 + row % 3;
    batch.label(whole) = row;
    EXPECT_NEAR(log_prob.get()[std::size_t(row)], Reference(batch, whole).log_prob, 1e-5);
  }
}

TEST(CudaRows, GiveLogitsOfMinusInfinityProbabilityZero) {
  for (const DType dtype : all_dtypes) {
    SCOPED_TRACE(name_of(dtype));
    Batch batch(dtype, 3, 100);
    for (std::int64_t j = 0; j < 100; ++j) {
      if (j % 2 == 0) batch.set(0, j, -inf);  // half of the vocabulary, not the label
      if (j != 7) batch.set(1, j, -inf);      // all but the label
    }
    batch.set(2, 7, -inf);  // the label
    batch.labels = {7, 7, 7};
    for (const bool at_once : {false, true}) {
      const OnDevice device(batch);
      device.find(at_once);
      Batch gradient = batch;
      gradient.memory = device.memory.get();
      const auto log_prob = device.log_prob.get();
      EXPECT_NEAR(log_prob[0], Reference(batch, 0).log_prob, 1e-5);
      EXPECT_EQ(gradient.get(0, 4), 0);
      EXPECT_EQ(log_prob[1], 0);
      for (std::int64_t j = 0; j < 100; ++j) ASSERT_EQ(gradient.get(1, j), 0);
      EXPECT_EQ(log_prob[2], -inf);
      EXPECT_NEAR(gradient.get(2, 7), batch.coefficient[2], rounding(dtype));
    }
  }
}

TEST(CudaRows, BecomeNanForNanAndPlusInfinity) {
  for (const DType dtype : all_dtypes)
    for (const double bad : {nan, inf})
      for (const std::int64_t place : {0, 7, 64, 99})
        for (const bool at_once : {false, true}) {
          SCOPED_TRACE(testing::Message() << name_of(dtype) << " " << bad << " at " << place);
          Batch batch(dtype, 1, 100);
          batch.label(0) = 7;
          batch.set(0, place, bad);
          const OnDevice device(batch);
          device.find(at_once);
          EXPECT_TRUE(std::isnan(device.log_prob.get()[0]));
          Batch gradient = batch;
          gradient.memory = device.memory.get();
          for (std::int64_t j = 0; j < 100; ++j) ASSERT_TRUE(std::isnan(gradient.get(0, j))) << j;
        }
}

/// Statistics and gradient of the first row, in one pass or two.
struct FirstRow {
  FirstRow(const Batch& batch, bool at_once) : gradient(batch) {
    const OnDevice device(batch);
    if (at_once) {
      device.find_both();
    } else {
      device.find_log_probs();
      device.find_gradient();
    }
    log_prob = device.log_prob.get()[0];
    gradient.memory = device.memory.get();
  }
  double log_prob;
  Batch gradient;
};

/// No column but the label is finite: NaN must not look like certainty.
TEST(CudaRows, BecomeNanForNanBesideNothingElse) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {2, 9, 100, 20000})
      for (const bool at_once : {false, true}) {
        Batch batch(dtype, 1, vocab);
        batch.label(0) = 0;
        for (std::int64_t j = 1; j < vocab; ++j) batch.set(0, j, -inf);
        batch.set(0, vocab - 1, nan);
        const FirstRow row(batch, at_once);
        EXPECT_TRUE(std::isnan(row.log_prob)) << name_of(dtype) << " " << vocab << " " << at_once;
        for (std::int64_t j = 0; j < vocab; ++j) ASSERT_TRUE(std::isnan(row.gradient.get(0, j)));
      }
}

TEST(CudaRows, AreRightUpToTheLargestLogit) {
  for (const DType dtype : {DType::bfloat16, DType::float32})
    for (const double offset : {1e6, 3.3e8, 7.5e8, 9.9e8, 1e9, -1e6, -3.3e8, -7.5e8, -9.9e8, -1e9})
      for (const std::int64_t equal : {1, 2, 70})
        for (const bool at_once : {false, true}) {
          Batch batch(dtype, 1, 300);
          batch.label(0) = 0;
          for (std::int64_t j = 0; j < 300; ++j)
            batch.set(0, j, j < equal ? offset : offset - 0.01 * std::fabs(offset));
          const FirstRow row(batch, at_once);
          SCOPED_TRACE(testing::Message() << name_of(dtype) << " " << offset << " " << equal);
          EXPECT_NEAR(row.log_prob, -std::log(double(equal)), 1e-5);
          const double c = batch.coefficient[0], p = 1 / double(equal);
          EXPECT_NEAR(row.gradient.get(0, 0), c * (1 - p), 0.01 * c);
          if (equal > 1) {
            EXPECT_NEAR(row.gradient.get(0, 1), -c * p, 0.01 * c * p);
          }
          EXPECT_EQ(row.gradient.get(0, 299), 0);
        }
}

TEST(CudaRows, BeyondTheLargestLogitAreNanInValueAndGradient) {
  const auto expect_nan = [](const Batch& batch) {
    for (const bool at_once : {false, true}) {
      const FirstRow row(batch, at_once);
      EXPECT_TRUE(std::isnan(row.log_prob)) << at_once << ", " << row.log_prob;
      for (std::int64_t j = 0; j < batch.logits.vocab; ++j)
        ASSERT_TRUE(std::isnan(row.gradient.get(0, j))) << at_once << ", column " << j;
    }
  };
  for (const auto& [dtype, largest] :
       {std::pair{DType::bfloat16, 3.38953139e38}, {DType::float32, 3.40282347e38}})
    for (const std::int64_t vocab : {2, 70, 5000})
      for (const double beyond : {1.1e9, 3e9, 1e10, 1e20, largest}) {
        SCOPED_TRACE(testing::Message() << name_of(dtype) << ", " << vocab << ", " << beyond);
        for (const int which : {0, 1, 2, 3}) {
          Batch batch(dtype, 1, vocab);
          batch.label(0) = 1;
          for (std::int64_t j = 0; j < vocab; ++j)
            if (which == 0 || (which == 1 && j != 1) || (which == 2 && j == 1) ||
                (which == 3 && j == (vocab > 2 ? vocab / 2 : 0)))
              batch.set(0, j, beyond);
          expect_nan(batch);
        }
        Batch masked(dtype, 1, vocab);
        masked.label(0) = vocab - 1;
        for (std::int64_t j = 0; j < vocab; ++j) masked.set(0, j, -beyond);
        expect_nan(masked);
        for (std::int64_t j = 0; j < vocab; ++j) masked.set(0, j, j % 2 == 0 ? -largest : -inf);
        expect_nan(masked);
      }
}

TEST(CudaRows, TakeColumnsFarBelowForMasked) {
  for (const auto& [dtype, lowest] : {std::pair{DType::float16, -65504.0},
                                      {DType::bfloat16, -3.38953139e38},
                                      {DType::float32, -3.40282347e38}})
    for (const double mask : {-1e10, -3.3e12, -1e30, lowest})
      for (const std::int64_t from : {0, 700}) {
        if (dtype == DType::float16 && mask != lowest) continue;
        Batch batch(dtype, 1, 3000);
        for (std::int64_t j = from; j < from + 2000; ++j) batch.set(0, j, mask);
        batch.label(0) = from == 0 ? 2500 : 1;
        expect_both_ways(batch);
        batch.label(0) = from + 5;
        for (const bool at_once : {false, true}) {
          const FirstRow row(batch, at_once);
          EXPECT_LT(row.log_prob, 0.9 * mask);
          EXPECT_NEAR(row.gradient.get(0, from + 5), batch.coefficient[0], rounding(dtype));
        }
        for (std::int64_t j = 0; j < 3000; ++j) batch.set(0, j, j == 7 ? 3 : mask);
        batch.label(0) = 7;
        for (const bool at_once : {false, true}) {
          const FirstRow row(batch, at_once);
          EXPECT_EQ(row.log_prob, 0);
          EXPECT_EQ(row.gradient.get(0, 7), 0);
        }
      }
}

/// A token may stand for "ignored", such as a padding token.
TEST(CudaRows, WithAnIgnoredTokenAreNotRead) {
  constexpr std::int64_t padding_token = 5;
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {300, 33000}) {
      Batch batch(dtype, 1, vocab);
      batch.label(0) = padding_token;
      OnDevice device(batch);
      device.row_labels.ignored = padding_token;
      const DeviceArray<unsigned char> never_written(batch.memory.size());
      device.logits.data = never_written.data();
      const DeviceArray<unsigned char> out(batch.memory);
      const GradientRows gradient{out.data(), device.logits.layout};
      row_log_probs(device.logits, device.row_labels, device.all, device.statistics(),
                    device.row_memory(), nullptr);
      EXPECT_EQ(device.log_prob.get()[0], 0);
      row_gradient(device.logits, device.row_labels, device.all, device.lse_others.data(),
                   device.coefficient.data(), gradient, MaskedRows::zero, device.row_memory(),
                   nullptr);
      row_log_probs_and_gradient(device.logits, device.row_labels, device.all, device.statistics(),
                                 device.coefficient.data(), gradient, MaskedRows::zero,
                                 device.row_memory(), nullptr);
      EXPECT_EQ(device.log_prob.get()[0], 0);
      const auto bytes = out.get();
      for (std::int64_t j = 0; j < vocab; ++j) ASSERT_EQ(detail::load(bytes.data(), dtype, j), 0);
    }
}

TEST(CudaRows, WithCoefficientZeroHaveNoGradientWhateverTheyHold) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {100, 40000})
      for (const double bad : {nan, inf, -inf})
        for (const bool at_once : {false, true}) {
          Batch batch(dtype, 1, vocab, 3);
          batch.coefficient[0] = 0;
          batch.set(0, vocab / 3, bad);
          const FirstRow row(batch, at_once);
          for (std::int64_t j = 0; j < vocab + 3; ++j) ASSERT_EQ(row.gradient.get(0, j), 0);
        }
}

/// Two rows in two allocations are one tensor whose second row begins far beyond 2^31 elements.
TEST(CudaRows, MayLieBeyondTwoToThe31Elements) {
  for (const DType dtype : all_dtypes)
    for (const bool blocks : {false, true}) {
      const Batch first(dtype, 1, 1003, 0, 0, 0);
      Batch second(dtype, 1, 1003, 0, 0, 0);
      for (std::int64_t j = 0; j < 1003; ++j) second.set(0, j, 0.01 * double(j % 77));
      const DeviceArray<unsigned char> a(first.memory), b(second.memory);
      const auto stride = (b.data() - a.data()) / static_cast<std::int64_t>(size_of(dtype));
      ASSERT_GT(stride, std::int64_t{1} << 31);
      const RowLayout layout = blocks ? RowLayout{1003, 1, stride} : RowLayout{stride};
      const LogitRows logits{a.data(), dtype, 2, 1003, 1003, layout};
      const DeviceArray<std::int64_t> labels(std::vector<std::int64_t>{first.labels[0], 7});
      const DeviceArray<double> coefficient(std::vector{0.07, 0.07}), log_prob(2), lse_others(2);
      second.label(0) = 7;
      const auto check = [&] {
        EXPECT_NEAR(log_prob.get()[0], Reference(first, 0).log_prob, 1e-5);
        EXPECT_NEAR(log_prob.get()[1], Reference(second, 0).log_prob, 1e-5);
        expect_gradient(first, a.get());
        expect_gradient(second, b.get());
        ptx::expect_success(
            cudaMemcpy(a.data(), first.memory.data(), first.memory.size(), cudaMemcpyHostToDevice));
        ptx::expect_success(cudaMemcpy(b.data(), second.memory.data(), second.memory.size(),
                                       cudaMemcpyHostToDevice));
      };
      row_log_probs(logits, {labels.data()}, {0, 2}, {log_prob.data(), lse_others.data()}, {},
                    nullptr);
      row_gradient(logits, {labels.data()}, {0, 2}, lse_others.data(), coefficient.data(),
                   {a.data(), layout}, MaskedRows::zero, {}, nullptr);
      check();
      row_log_probs_and_gradient(logits, {labels.data()}, {0, 2},
                                 {log_prob.data(), lse_others.data()}, coefficient.data(),
                                 {a.data(), layout}, MaskedRows::zero, {}, nullptr);
      check();
    }
}

/// The selection counts in every pass, also where one pass does all.
TEST(CudaRows, OfASelectionAloneAreWrittenInOnePass) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {40, 33000}) {
      Batch batch(dtype, 6, vocab);
      batch.label(0) = 1000000;  // not selected, so not read
      const OnDevice device(batch);
      const DeviceArray<std::int64_t> list(std::vector<std::int64_t>{0, 5, 3, 2});
      const DeviceArray<double> log_prob(std::vector<double>(6, nan)), lse_others(6);
      const RowStatistics statistics{log_prob.data(), lse_others.data()};
      for (const RowSelection& selection : {RowSelection{1, 2, list.data()}, RowSelection{1, 1}})
        row_log_probs_and_gradient(device.logits, device.row_labels, selection, statistics,
                                   device.coefficient.data(), device.in_place(), MaskedRows::zero,
                                   device.row_memory(), nullptr);
      const auto found = log_prob.get();
      Batch gradient = batch;
      gradient.memory = device.memory.get();
      for (const std::int64_t row : {1, 3, 5}) {
        const Reference expected(batch, row);
        EXPECT_NEAR(found[static_cast<std::size_t>(row)], expected.log_prob, 1e-5);
        const std::int64_t label = batch.label(row);
        EXPECT_NEAR(gradient.get(row, label), expected.gradient[static_cast<std::size_t>(label)],
                    0.01 * std::fabs(expected.gradient[static_cast<std::size_t>(label)]));
      }
      for (const std::int64_t row : {0, 2, 4}) {
        EXPECT_TRUE(std::isnan(found[static_cast<std::size_t>(row)]));
        for (std::int64_t j = 0; j < vocab; ++j)
          ASSERT_EQ(gradient.get(row, j), batch.get(row, j)) << "row " << row;
      }
    }
}

TEST(CudaRows, KeepTheLabelsGradientAtProbabilitiesNearOne) {
  // bfloat16(p) − 1 would be off by more than half; this is rounded once.
  for (const DType dtype : all_dtypes) {
    Batch batch(dtype, 2, 3000);
    batch.set(0, batch.labels[0], 20);
    batch.set(1, batch.labels[1], 24);
    const OnDevice two_calls(batch), at_once(batch);
    two_calls.find_log_probs();
    two_calls.find_gradient();
    expect_gradient(batch, two_calls.memory.get());
    at_once.find_both();
    expect_gradient(batch, at_once.memory.get());
  }
}

TEST(CudaRows, ReportTheFirstInvalidLabelAndBecomeNan) {
  for (const bool at_once : {false, true}) {
    Batch batch(DType::bfloat16, 4, 50);
    batch.label(1) = 50;
    batch.label(2) = -1;
    const OnDevice device(batch);
    device.find(at_once);
    EXPECT_EQ(device.bad_row.get()[0], 1u);
    const auto log_prob = device.log_prob.get();
    EXPECT_TRUE(std::isnan(log_prob[1]) && std::isnan(log_prob[2]));
    EXPECT_FALSE(std::isnan(log_prob[0]) || std::isnan(log_prob[3]));
    Batch gradient = batch;
    gradient.memory = device.memory.get();
    for (std::int64_t j = 0; j < 50; ++j) {
      ASSERT_TRUE(std::isnan(gradient.get(1, j)) && std::isnan(gradient.get(2, j)));
      ASSERT_FALSE(std::isnan(gradient.get(0, j)) || std::isnan(gradient.get(3, j)));
    }
  }
}

TEST(CudaRows, AreBitIdenticalOnEveryRun) {
  for (const DType dtype : all_dtypes) {
    const Batch batch(dtype, 2, 33000);
    const OnDevice first(batch), second(batch);
    for (const OnDevice* device : {&first, &second}) {
      device->find_log_probs();
      device->find_gradient();
    }
    EXPECT_EQ(first.log_prob.get(), second.log_prob.get());
    EXPECT_EQ(first.memory.get(), second.memory.get());
  }
}

// Checks on the host, before anything is launched.

LogitRows some_logits() {
  static float memory;
  return {&memory, DType::float32, 3, 10, 0, {10}};
}
const std::int64_t some_label = 0;
const double some_number = 0;

template <class Change>
auto call_with(Change change) {
  return [change] {
    LogitRows logits = some_logits();
    RowLabels labels{&some_label};
    RowSelection selection{0, 3};
    change(logits, labels, selection);
    row_log_probs(logits, labels, selection, {}, {}, nullptr);
  };
}

TEST(CudaRowChecks, NameTheCallAndTheArgument) {
  const auto says = [](auto... parts) {
    return ThrowsMessage<InvalidArgument>(
        AllOf(HasSubstr("cuda::row_log_probs"), HasSubstr(parts)...));
  };
  EXPECT_THAT(call_with([](auto& l, auto&, auto&) { l.dtype = DType::float64; }), says("float64"));
  EXPECT_THAT(call_with([](auto& l, auto&, auto&) { l.data = nullptr; }), says("logits.data"));
  EXPECT_THAT(call_with([](auto&, auto& y, auto&) { y.label = nullptr; }), says("labels.label"));
  EXPECT_THAT(call_with([](auto& l, auto&, auto&) { l.vocab = 0; }), says("logits.vocab is 0"));
  EXPECT_THAT(call_with([](auto& l, auto&, auto&) { l.padded_vocab = 9; }),
              says("logits.padded_vocab 9 is smaller than logits.vocab 10"));
  EXPECT_THAT(call_with([](auto&, auto&, auto& s) { s.count = 4; }), says("row 3"));
  EXPECT_THAT(call_with([](auto&, auto&, auto& s) { s.count = -1; }), says("-1 rows"));
  EXPECT_THAT(call_with([](auto& l, auto&, auto& s) { l.vocab = 100000, s.count = 1; }),
              says("1 rows need", "192 bytes of workspace", "got 0"));
}

TEST(CudaRowChecks, RefuseAGradientInPlaceWithAnotherLayout) {
  const LogitRows logits = some_logits();
  auto* const memory = const_cast<void*>(logits.data);
  EXPECT_THAT(
      [&] {
        row_gradient(logits, {&some_label}, {0, 3}, &some_number, &some_number, {memory, {11}},
                     MaskedRows::zero, {}, nullptr);
      },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("cuda::row_gradient"), HasSubstr("layout"))));
  EXPECT_THAT(
      [&] {
        row_gradient(logits, {&some_label}, {0, 3}, nullptr, &some_number, {memory, {10}},
                     MaskedRows::zero, {}, nullptr);
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("row_log_probs writes it")));
  EXPECT_THAT(
      [&] {
        row_log_probs_and_gradient(logits, {&some_label}, {0, 3}, {}, &some_number, {memory, {10}},
                                   MaskedRows::zero, {}, nullptr);
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("out.lse_others is null")));
}

TEST(CudaRowChecks, DoNothingForZeroRows) {
  row_log_probs({}, {}, {}, {}, {}, nullptr);
  row_gradient({}, {}, {}, nullptr, nullptr, {}, MaskedRows::zero, {}, nullptr);
  row_log_probs_and_gradient({}, {}, {}, {}, nullptr, {}, MaskedRows::zero, {}, nullptr);
}

}  // namespace
}  // namespace sp2dpo::cuda
