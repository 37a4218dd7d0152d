// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "targets.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cpu {
namespace {

using testing::HasSubstr;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t ignored = -100;
constexpr DType all_dtypes[] = {DType::float16, DType::bfloat16, DType::float32, DType::float64};

// Half a unit in the last place of 1, and half the smallest number: the error of one rounding.
double rounding(DType dtype) {
  constexpr double unit[] = {0x1p-11, 0x1p-8, 0x1p-24, 0x1p-53};
  return unit[static_cast<std::size_t>(dtype)];
}
double underflow(DType dtype) {
  return dtype == DType::float16 ? 0x1p-25 : 0x1p-126;
}

// The error that the lanes' arithmetic may add, for the logits used here.
double lanes_error(DType dtype) {
  return dtype == DType::float64 ? 1e-14 : 3e-6;
}

// Rows of logits in their own memory, with padding columns and gaps between rows. All memory that
// is not a logit holds NaN.
struct Batch {
  Batch(DType dtype, std::int64_t rows, std::int64_t vocab, std::int64_t padding = 0,
        std::int64_t gap = 0)
      : stride(vocab + padding + gap),
        memory(static_cast<std::size_t>(rows * stride + 1) * size_of(dtype)),
        labels(static_cast<std::size_t>(rows), 0),
        coefficient(static_cast<std::size_t>(rows), 0.5),
        log_prob(static_cast<std::size_t>(rows), nan),
        lse_others(static_cast<std::size_t>(rows), nan) {
    // One element in, so that no row is aligned.
    logits = {memory.data() + size_of(dtype), dtype, rows, vocab, vocab + padding, {stride}};
    for (std::int64_t i = 0; i < rows * stride; ++i) detail::store(data(), dtype, i, nan);
    std::mt19937_64 random(static_cast<std::uint64_t>(rows * 1000003 + vocab));
    std::normal_distribution<double> spread(3, 2);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t j = 0; j < vocab; ++j) set(row, j, spread(random));
      labels[static_cast<std::size_t>(row)] =
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocab));
      coefficient[static_cast<std::size_t>(row)] = (row % 2 == 0 ? 0.07 : -0.03) * double(row + 1);
    }
  }

  Batch(const Batch& other)
      : stride(other.stride),
        memory(other.memory),
        labels(other.labels),
        coefficient(other.coefficient),
        log_prob(other.log_prob),
        lse_others(other.lse_others),
        logits(other.logits) {
    logits.data = data();
  }
  Batch& operator=(const Batch&) = delete;

  void* data() { return memory.data() + size_of(logits.dtype); }
  void set(std::int64_t row, std::int64_t column, double value) {
    detail::store(data(), logits.dtype, row * stride + column, value);
  }
  [[nodiscard]] double get(std::int64_t row, std::int64_t column) const {
    return detail::load(logits.data, logits.dtype, row * stride + column);
  }
  std::int64_t& label(std::int64_t row) { return labels[static_cast<std::size_t>(row)]; }
  [[nodiscard]] std::int64_t label(std::int64_t row) const {
    return labels[static_cast<std::size_t>(row)];
  }
  [[nodiscard]] RowLabels row_labels() const { return {labels.data(), ignored}; }
  [[nodiscard]] RowSelection all() const { return {0, logits.rows}; }
  [[nodiscard]] RowStatistics statistics() { return {log_prob.data(), lse_others.data()}; }
  [[nodiscard]] GradientRows in_place() { return {data(), logits.layout}; }

  void find_log_probs() { row_log_probs(logits, row_labels(), all(), statistics()); }

  std::int64_t stride;
  std::vector<unsigned char> memory;
  std::vector<std::int64_t> labels;
  std::vector<double> coefficient, log_prob, lse_others;
  LogitRows logits;
};

// A row computed in two passes with 64-bit mantissas.
struct Reference {
  Reference(const Batch& batch, std::int64_t row)
      : Reference(batch, row, batch.get(row, batch.label(row))) {}

  Reference(const Batch& batch, std::int64_t row, double label_logit) {
    const std::int64_t vocab = batch.logits.vocab;
    const std::int64_t y = batch.label(row);
    const auto logit = [&](std::int64_t j) -> long double {
      return j == y ? label_logit : batch.get(row, j);
    };
    long double max = -inf;
    for (std::int64_t j = 0; j < vocab; ++j) max = std::max(max, logit(j));
    long double all = 0, others = 0;
    for (std::int64_t j = 0; j < vocab; ++j) {
      const long double e = std::exp(logit(j) - max);
      all += e;
      if (j != y) others += e;
    }
    lse_others = static_cast<double>(max + std::log(others));
    log_prob = static_cast<double>(-std::log1p(others / std::exp(logit(y) - max)));
    const double coefficient = batch.coefficient[static_cast<std::size_t>(row)];
    for (std::int64_t j = 0; j < vocab; ++j)
      gradient.push_back(static_cast<double>(
          coefficient * (j == y ? others / all : -std::exp(logit(j) - max) / all)));
  }

  double log_prob, lse_others;
  std::vector<double> gradient;
};

void expect_row(const Batch& batch, std::int64_t row, const Reference& expected,
                const Batch& gradient) {
  const DType dtype = batch.logits.dtype;
  const auto i = static_cast<std::size_t>(row);
  const double error = lanes_error(dtype);
  EXPECT_NEAR(batch.log_prob[i], expected.log_prob, error * (1 + std::fabs(expected.log_prob)));
  if (batch.logits.vocab > 1) {
    EXPECT_NEAR(batch.lse_others[i], expected.lse_others,
                error * (1 + std::fabs(expected.lse_others)));
  }
  for (std::int64_t j = 0; j < batch.logits.vocab; ++j) {
    const double want = expected.gradient[static_cast<std::size_t>(j)];
    ASSERT_NEAR(gradient.get(row, j), want,
                std::fabs(want) * (rounding(dtype) + 2 * error) + underflow(dtype))
        << "column " << j << (j == batch.label(row) ? ", the label" : "");
  }
  for (std::int64_t j = batch.logits.vocab; j < batch.logits.padded_vocab; ++j)
    ASSERT_EQ(gradient.get(row, j), 0) << "padding column " << j;
}

// Parts of one row each on four threads, last part first.
constexpr auto in_pieces = [](std::int64_t n, std::int64_t, Task task) {
  std::vector<std::thread> threads;
  for (std::int64_t t = 0; t < 4; ++t)
    threads.emplace_back([=] {
      for (std::int64_t i = n; i-- > 0;)
        if (i % 4 == t) task(i, i + 1);
    });
  for (auto& thread : threads) thread.join();
};

class Rows : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(, Rows, testing::ValuesIn(EveryTarget::all()), EveryTarget::name);

TEST_P(Rows, AgreeWithExtendedPrecision) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {1, 2, 3, 7, 8, 31, 32, 33, 64, 127, 2049, 4100}) {
      SCOPED_TRACE(testing::Message() << name_of(dtype) << ", vocabulary " << vocab);
      Batch batch(dtype, 3, vocab, 5, 3);
      Batch gradient = batch;
      batch.find_log_probs();
      row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                   batch.coefficient.data(), gradient.in_place());
      for (std::int64_t row = 0; row < 3; ++row)
        expect_row(batch, row, Reference(batch, row), gradient);
    }
}

TEST_P(Rows, TakeALabelAtEveryPossibleEndOfAVector) {
  for (const DType dtype : all_dtypes) {
    std::vector<std::int64_t> places{2047, 2048, 2049, 2079, 2080, 2081, 2146, 2147};
    for (std::int64_t j = 0; j <= 130; ++j) places.push_back(j);
    const auto rows = static_cast<std::int64_t>(places.size());
    Batch batch(dtype, rows, 2148);
    batch.labels = places;
    Batch gradient = batch;
    batch.find_log_probs();
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), gradient.in_place());
    for (std::int64_t row = 0; row < rows; ++row) {
      SCOPED_TRACE(testing::Message() << name_of(dtype) << ", label " << batch.label(row));
      expect_row(batch, row, Reference(batch, row), gradient);
    }
  }
}

TEST_P(Rows, KeepTheLogSumToAFewPartsInTenMillion) {
  // A polynomial that does not fit its argument's range, or a rounded reference value, costs 2e-5
  // or 1e-6.
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32})
    for (const double offset : {0.0, 20.0, -300.0}) {
      Batch batch(dtype, 4, 50257);
      for (std::int64_t row = 0; row < 4; ++row)
        for (std::int64_t j = 0; j < 50257; ++j) batch.set(row, j, batch.get(row, j) + offset);
      batch.find_log_probs();
      for (std::int64_t row = 0; row < 4; ++row)
        EXPECT_NEAR(batch.lse_others[static_cast<std::size_t>(row)],
                    Reference(batch, row).lse_others, has_fma() ? 2e-7 : 1e-5)
            << name_of(dtype) << ", offset " << offset;
    }
}

TEST_P(Rows, KeepTheLogSumOfDoublesToRounding) {
  Batch batch(DType::float64, 4, 50257);
  batch.find_log_probs();
  for (std::int64_t row = 0; row < 4; ++row)
    EXPECT_NEAR(batch.lse_others[static_cast<std::size_t>(row)], Reference(batch, row).lse_others,
                1e-14 * 15);
}

TEST_P(Rows, AreNoWorseThanPlainFloatArithmetic) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    Batch batch(dtype, 64, 3001);
    batch.find_log_probs();
    double ours = 0, plain = 0;
    for (std::int64_t row = 0; row < 64; ++row) {
      float max = -std::numeric_limits<float>::infinity(), sum = 0;
      for (std::int64_t j = 0; j < 3001; ++j) max = std::max(max, float(batch.get(row, j)));
      for (std::int64_t j = 0; j < 3001; ++j) sum += std::exp(float(batch.get(row, j)) - max);
      const double expected = Reference(batch, row).log_prob;
      const auto float_log_prob = float(batch.get(row, batch.label(row))) - max - std::log(sum);
      ours += std::pow(batch.log_prob[static_cast<std::size_t>(row)] - expected, 2);
      plain += std::pow(double(float_log_prob) - expected, 2);
    }
    EXPECT_LE(std::sqrt(ours), 1.1 * std::sqrt(plain)) << name_of(dtype);
  }
}

TEST_P(Rows, HaveGradientsThatSumToZero) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    Batch batch(dtype, 4, 5003);
    batch.find_log_probs();
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), batch.in_place());
    for (std::int64_t row = 0; row < 4; ++row) {
      double sum = 0;
      for (std::int64_t j = 0; j < 5003; ++j) sum += batch.get(row, j);
      EXPECT_NEAR(sum, 0, lanes_error(dtype) * std::fabs(batch.coefficient[std::size_t(row)]));
    }
  }
}

TEST_P(Rows, KeepTheLabelsGradientAtProbabilitiesNearOne) {
  for (const DType dtype : all_dtypes)
    for (const double lead : {10.0, 14.0, 20.0}) {
      Batch batch(dtype, 1, 1000);
      for (std::int64_t j = 0; j < 1000; ++j) batch.set(0, j, 0);
      batch.set(0, batch.label(0), 6.9 + lead);
      batch.coefficient[0] = 1;
      batch.find_log_probs();
      const Reference expected(batch, 0);
      EXPECT_NEAR(batch.log_prob[0] / expected.log_prob, 1, 3e-6) << name_of(dtype);
      EXPECT_LE(batch.log_prob[0], 0);
      row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                   batch.coefficient.data(), batch.in_place());
      const double want = expected.gradient[static_cast<std::size_t>(batch.label(0))];
      EXPECT_NEAR(batch.get(0, batch.label(0)), want,
                  want * (rounding(dtype) + 3e-6) + underflow(dtype))
          << name_of(dtype) << ", 1 - p = " << want;
    }
}

TEST_P(Rows, UseTheGivenLogitOfTheLabel) {
  for (const DType dtype : all_dtypes) {
    Batch batch(dtype, 2, 300);
    const std::vector<double> exact{9.123456, -2.5};
    RowLabels labels = batch.row_labels();
    labels.logit = exact.data();
    Batch gradient = batch;
    row_log_probs(batch.logits, labels, batch.all(), batch.statistics());
    row_gradient(batch.logits, labels, batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), gradient.in_place());
    for (std::int64_t row = 0; row < 2; ++row)
      expect_row(batch, row, Reference(batch, row, exact[static_cast<std::size_t>(row)]), gradient);
  }
}

TEST_P(Rows, SumTheLogitsOnRequest) {
  for (const DType dtype : all_dtypes) {
    Batch batch(dtype, 3, 2100);
    batch.label(1) = ignored;
    std::vector<double> sums(3, nan);
    row_log_probs(batch.logits, batch.row_labels(), batch.all(),
                  {.log_prob = nullptr, .lse_others = nullptr, .logit_sum = sums.data()});
    double expected = 0;
    for (std::int64_t j = 0; j < 2100; ++j) expected += batch.get(2, j);
    EXPECT_NEAR(sums[2], expected, std::fabs(expected) * lanes_error(dtype)) << name_of(dtype);
    EXPECT_EQ(sums[1], 0);
  }
}

// Memory in whole pages, each row on its own pages, so that any access to a closed row crashes.
class Pages {
 public:
  Pages(std::int64_t rows, std::int64_t bytes_per_row)
      : size_(static_cast<std::size_t>(rows * bytes_per_row)),
        bytes_per_row_(bytes_per_row),
        data_(mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() {
    if (ok()) munmap(data_, size_);
  }

  [[nodiscard]] bool ok() const { return data_ != MAP_FAILED; }
  [[nodiscard]] void* data() const { return data_; }
  void close(std::int64_t row) const {
    mprotect(static_cast<char*>(data_) + row * bytes_per_row_,
             static_cast<std::size_t>(bytes_per_row_), PROT_NONE);
  }

 private:
  std::size_t size_;
  std::int64_t bytes_per_row_;
  void* data_;
};

TEST_P(Rows, NeverReadMaskedRowsOrRowsWithCoefficientZero) {
  for (const DType dtype : all_dtypes) {
    constexpr std::int64_t rows = 4, bytes = 65536, vocab = 5000;
    const Pages pages(rows, bytes);
    ASSERT_TRUE(pages.ok());
    const std::int64_t stride = bytes / static_cast<std::int64_t>(size_of(dtype));
    const LogitRows logits{pages.data(), dtype, rows, vocab, 0, {stride}};
    const std::vector<std::int64_t> labels{3, ignored, 7, 9};
    std::vector<double> log_prob(rows, nan), lse_others(rows, nan);
    const std::vector<double> coefficient{1, 1, 0, 1};
    pages.close(1);
    row_log_probs(logits, {labels.data()}, {0, rows}, {log_prob.data(), lse_others.data()});
    EXPECT_EQ(log_prob[1], 0);
    EXPECT_NEAR(log_prob[2], -std::log(5000.0), 1e-6);

    pages.close(2);
    Batch gradient(dtype, rows, vocab);
    row_gradient(logits, {labels.data()}, {0, rows}, lse_others.data(), coefficient.data(),
                 gradient.in_place());
    for (std::int64_t j = 0; j < vocab; ++j) {
      ASSERT_EQ(gradient.get(1, j), 0);
      ASSERT_EQ(gradient.get(2, j), 0);
      ASSERT_NE(gradient.get(3, j), 0);
    }
    row_gradient(logits, {labels.data()}, {0, 2}, lse_others.data(), coefficient.data(),
                 {pages.data(), logits.layout}, MaskedRows::leave);
    EXPECT_NEAR(detail::load(pages.data(), dtype, 3), 1 - 1 / 5000.0, 2 * rounding(dtype));
  }
}

TEST_P(Rows, LeaveMaskedRowsUntouchedOnRequest) {
  Batch batch(DType::float32, 3, 50, 2);
  batch.label(1) = ignored;
  batch.find_log_probs();
  Batch left = batch, zeroed = batch;
  row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
               batch.coefficient.data(), left.in_place(), MaskedRows::leave);
  row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
               batch.coefficient.data(), zeroed.in_place(), MaskedRows::zero);
  for (std::int64_t j = 0; j < 50; ++j) {
    EXPECT_EQ(left.get(1, j), batch.get(1, j));
    EXPECT_EQ(zeroed.get(1, j), 0);
    EXPECT_EQ(left.get(2, j), zeroed.get(2, j));
  }
}

TEST_P(Rows, AreBitIdenticalForEveryPartition) {
  for (const DType dtype : all_dtypes) {
    Batch batch(dtype, 9, 2500, 3);
    batch.label(4) = ignored;
    Batch out = batch, pieces = batch, once = batch;

    batch.find_log_probs();
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), out.in_place());
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), batch.in_place());
    EXPECT_EQ(out.memory, batch.memory) << "in place, " << name_of(dtype);

    row_log_probs(pieces.logits, pieces.row_labels(), pieces.all(), pieces.statistics(), in_pieces);
    row_gradient(pieces.logits, pieces.row_labels(), pieces.all(), pieces.lse_others.data(),
                 pieces.coefficient.data(), pieces.in_place(), MaskedRows::zero, in_pieces);
    EXPECT_EQ(pieces.log_prob, batch.log_prob);
    EXPECT_EQ(pieces.memory, batch.memory) << "in pieces, " << name_of(dtype);

    row_log_probs_and_gradient(once.logits, once.row_labels(), once.all(), once.statistics(),
                               once.coefficient.data(), once.in_place());
    EXPECT_EQ(once.log_prob, batch.log_prob);
    EXPECT_EQ(once.lse_others, batch.lse_others);
    EXPECT_EQ(once.memory, batch.memory) << "at once, " << name_of(dtype);
  }
}

TEST_P(Rows, TouchOnlyTheSelectedRows) {
  Batch batch(DType::bfloat16, 6, 40);
  batch.label(0) = 1000000;  // not selected, so not read
  const std::vector<std::int64_t> list{0, 5, 3, 2};
  row_log_probs(batch.logits, batch.row_labels(), {1, 2, list.data()}, batch.statistics());
  row_log_probs(batch.logits, batch.row_labels(), {1, 1}, batch.statistics());
  for (const std::int64_t row : {1, 3, 5})
    EXPECT_NEAR(batch.log_prob[std::size_t(row)], Reference(batch, row).log_prob, 1e-5);
  for (const std::size_t row : {0, 2, 4}) EXPECT_TRUE(std::isnan(batch.log_prob[row]));
}

TEST_P(Rows, MayLieInStridedBlocks) {
  // A tensor [2, 3, 20] cut out of one [2, 4, 25].
  Batch batch(DType::float32, 8, 20, 0, 5);
  LogitRows blocks = batch.logits;
  blocks.rows = 6;
  blocks.layout = {.stride = 25, .inner = 3, .outer_stride = 100};
  const std::vector<std::int64_t> labels{0, 1, 2, 3, 4, 5};
  std::vector<double> log_prob(6);
  row_log_probs(blocks, {labels.data()}, {0, 6}, {.log_prob = log_prob.data()});
  for (std::int64_t row = 0; row < 6; ++row) {
    const std::int64_t whole = row / 3 * 4 + row % 3;
    batch.label(whole) = row;
    EXPECT_NEAR(log_prob[std::size_t(row)], Reference(batch, whole).log_prob, 1e-5);
  }
}

TEST_P(Rows, MayLieMoreThan4GiBApart) {
  constexpr std::int64_t stride = (std::int64_t{1} << 31) + 4096;
  const Pages pages(3, 2 * stride);
  if (!pages.ok()) GTEST_SKIP() << "this machine grants no 13 GB of unused addresses";
  auto* data = static_cast<std::uint16_t*>(pages.data());
  const LogitRows logits{data, DType::bfloat16, 3, 10, 0, {stride}};
  data[2 * stride + 6] = detail::bfloat16_from_float(2);
  const std::vector<std::int64_t> labels{ignored, 4, 6};
  std::vector<double> log_prob(3), lse_others(3);
  row_log_probs(logits, {labels.data()}, {0, 3}, {log_prob.data(), lse_others.data()});
  EXPECT_NEAR(log_prob[1], -std::log(10.0), 1e-6);
  EXPECT_NEAR(log_prob[2], 2 - std::log(9 + std::exp(2.0)), 1e-6);
  const std::vector<double> one(3, 1.0);
  row_gradient(logits, {labels.data()}, {0, 3}, lse_others.data(), one.data(),
               {data, logits.layout}, MaskedRows::leave);
  EXPECT_NEAR(detail::float_from_bfloat16(data[2 * stride + 6]), 9 / (9 + std::exp(2.0)), 2e-3);
}

TEST_P(Rows, GiveLogitsOfMinusInfinityProbabilityZero) {
  for (const DType dtype : all_dtypes) {
    Batch batch(dtype, 3, 100);
    for (std::int64_t j = 0; j < 100; ++j) {
      if (j % 2 == 0) batch.set(0, j, -inf);  // half of the vocabulary, not the label
      if (j != 7) batch.set(1, j, -inf);      // all but the label
    }
    batch.set(2, 7, -inf);  // the label
    batch.labels = {7, 7, 7};
    Batch gradient = batch;
    batch.find_log_probs();
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), gradient.in_place());
    expect_row(batch, 0, Reference(batch, 0), gradient);
    EXPECT_EQ(gradient.get(0, 4), 0);
    EXPECT_EQ(batch.log_prob[1], 0);
    for (std::int64_t j = 0; j < 100; ++j) EXPECT_EQ(gradient.get(1, j), 0);
    EXPECT_EQ(batch.log_prob[2], -inf);
    EXPECT_NEAR(gradient.get(2, 7), batch.coefficient[2], rounding(dtype));
  }
}

TEST_P(Rows, GiveTheLowestNumberProbabilityZero) {
  for (const auto& [dtype, lowest] : {std::pair{DType::float16, -65504.0},
                                      {DType::bfloat16, -3.38953139e38},
                                      {DType::float32, -3.40282347e38},
                                      {DType::float64, -1.7976931348623157e308}}) {
    Batch batch(dtype, 1, 3000);
    for (std::int64_t j = 100; j < 3000; ++j) batch.set(0, j, lowest);
    batch.label(0) = 50;
    Batch gradient = batch;
    batch.find_log_probs();
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), gradient.in_place());
    expect_row(batch, 0, Reference(batch, 0), gradient);
  }
}

TEST_P(Rows, HandleLargeLogits) {
  for (const DType dtype : {DType::bfloat16, DType::float32, DType::float64})
    for (const double offset : {-1e6, 1e6, 1e9, -1e9}) {
      Batch batch(dtype, 1, 200);
      for (std::int64_t j = 0; j < 200; ++j) batch.set(0, j, offset);
      batch.find_log_probs();
      EXPECT_NEAR(batch.log_prob[0], -std::log(200.0), std::fabs(offset) * 3e-7) << offset;
    }
}

/// Large logits that are not all equal, at the edges of blocks of 2048.
TEST_P(Rows, AreRightUpToTheLargestLogit) {
  for (const DType dtype : {DType::bfloat16, DType::float32, DType::float64})
    for (const double offset : {2e7, 3.3e8, 7.5e8, 9.9e8, 1e9, -2e7, -3.3e8, -7.5e8, -9.9e8, -1e9})
      for (const std::int64_t equal : {1, 2, 70, 2500}) {
        Batch batch(dtype, 1, 5000);
        batch.label(0) = 0;
        for (std::int64_t j = 0; j < 5000; ++j)
          batch.set(0, j, j < equal ? offset : offset - 0.01 * std::fabs(offset));
        Batch gradient = batch;
        batch.find_log_probs();
        EXPECT_NEAR(batch.log_prob[0], -std::log(double(equal)), 1e-5) << offset << " " << equal;
        row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                     batch.coefficient.data(), gradient.in_place());
        const double c = batch.coefficient[0], p = 1 / double(equal);
        EXPECT_NEAR(gradient.get(0, 0), c * (1 - p), 0.01 * std::fabs(c));
        if (equal > 1) {
          EXPECT_NEAR(gradient.get(0, 1), -c * p, 0.01 * std::fabs(c * p));
        }
        EXPECT_EQ(gradient.get(0, 4999), 0);
      }
}

/// Value and gradient are NaN together, whichever pass computes them, whatever else the row holds.
TEST_P(Rows, BeyondTheLargestLogitAreNanInValueAndGradient) {
  const auto expect_nan = [](const DType dtype, const Batch& filled) {
    for (const bool at_once : {false, true}) {
      Batch batch = filled;
      batch.logits.data = batch.data();
      if (at_once) {
        row_log_probs_and_gradient(batch.logits, batch.row_labels(), batch.all(),
                                   {batch.log_prob.data(), batch.lse_others.data()},
                                   batch.coefficient.data(), batch.in_place());
      } else {
        batch.find_log_probs();
        row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                     batch.coefficient.data(), batch.in_place());
      }
      EXPECT_TRUE(std::isnan(batch.log_prob[0])) << name_of(dtype) << ", " << batch.log_prob[0];
      for (std::int64_t j = 0; j < batch.logits.vocab; ++j)
        ASSERT_TRUE(std::isnan(batch.get(0, j))) << name_of(dtype) << ", column " << j;
    }
  };
  for (const auto& [dtype, largest] : {std::pair{DType::bfloat16, 3.38953139e38},
                                       {DType::float32, 3.40282347e38},
                                       {DType::float64, 1.7976931348623157e308}})
    for (const std::int64_t vocab : {2, 70, 6000})
      for (const double beyond : {1.1e9, 3e9, 1e10, 6e15, 1e20, largest}) {
        // All columns, all but the label, the label alone, one other column.
        for (const int which : {0, 1, 2, 3}) {
          Batch batch(dtype, 1, vocab);
          batch.label(0) = 1;
          for (std::int64_t j = 0; j < vocab; ++j)
            if (which == 0 || (which == 1 && j != 1) || (which == 2 && j == 1) ||
                (which == 3 && j == vocab / 2 * (vocab > 2 ? 1 : 0)))
              batch.set(0, j, beyond);
          expect_nan(dtype, batch);
        }
        Batch masked(dtype, 1, vocab);  // nothing but masked columns
        masked.label(0) = vocab - 1;
        for (std::int64_t j = 0; j < vocab; ++j) masked.set(0, j, -beyond);
        expect_nan(dtype, masked);
        for (std::int64_t j = 0; j < vocab; ++j) masked.set(0, j, j % 2 == 0 ? -largest : -inf);
        expect_nan(dtype, masked);
      }
}

/// Masks of the size of a block, by any number that stands for −inf.
TEST_P(Rows, TakeColumnsFarBelowForMasked) {
  for (const auto& [dtype, lowest] : {std::pair{DType::float16, -65504.0},
                                      {DType::bfloat16, -3.38953139e38},
                                      {DType::float32, -3.40282347e38},
                                      {DType::float64, -1.7976931348623157e308}})
    for (const double mask : {-1e10, -3.3e12, -1e20, -1e30, lowest})
      for (const std::int64_t from : {0, 2048, 4096}) {
        if (dtype == DType::float16 && mask != lowest) continue;
        Batch batch(dtype, 1, 6144);
        for (std::int64_t j = from; j < from + 2048; ++j) batch.set(0, j, mask);
        for (const std::int64_t label : {std::int64_t{from == 0 ? 3000 : 1}, from + 5}) {
          batch.label(0) = label;
          Batch gradient = batch;
          gradient.logits.data = gradient.data();
          batch.find_log_probs();
          row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                       batch.coefficient.data(), gradient.in_place());
          if (label == from + 5) {  // the label itself is masked
            EXPECT_NEAR(batch.log_prob[0], mask, 1e-2 * std::fabs(mask));
            EXPECT_NEAR(gradient.get(0, label), batch.coefficient[0], rounding(dtype));
            continue;
          }
          expect_row(batch, 0, Reference(batch, 0), gradient);
        }
      }
}

TEST_P(Rows, BecomeNanForNanAndPlusInfinity) {
  for (const DType dtype : all_dtypes)
    for (const double bad : {nan, inf})
      for (const std::int64_t place : {0, 7, 30, 64, 98, 99}) {
        Batch batch(dtype, 1, 100);
        batch.label(0) = 7;
        batch.set(0, place, bad);
        batch.find_log_probs();
        EXPECT_TRUE(std::isnan(batch.log_prob[0])) << name_of(dtype) << " " << bad << " " << place;
        row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                     batch.coefficient.data(), batch.in_place());
        for (std::int64_t j = 0; j < 100; ++j)
          ASSERT_TRUE(std::isnan(batch.get(0, j))) << name_of(dtype) << " " << bad << " " << j;
      }
}

/// No column but the label is finite: NaN must not look like certainty.
TEST_P(Rows, BecomeNanForNanBesideNothingElse) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t vocab : {2, 9, 3000}) {
      Batch batch(dtype, 1, vocab);
      batch.label(0) = 0;
      for (std::int64_t j = 1; j < vocab; ++j) batch.set(0, j, -inf);
      batch.set(0, vocab - 1, nan);
      batch.find_log_probs();
      EXPECT_TRUE(std::isnan(batch.log_prob[0])) << name_of(dtype) << " " << vocab;
      row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                   batch.coefficient.data(), batch.in_place());
      for (std::int64_t j = 0; j < vocab; ++j) ASSERT_TRUE(std::isnan(batch.get(0, j))) << j;
    }
}

TEST_P(Rows, PropagateNanWithAnyPayload) {
  for (const std::uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xffc001ffu, 0x7f8003ffu}) {
    Batch batch(DType::float32, 1, 64);
    batch.label(0) = 0;
    std::memcpy(static_cast<float*>(batch.data()) + 33, &bits, sizeof bits);
    batch.find_log_probs();
    EXPECT_TRUE(std::isnan(batch.log_prob[0])) << std::hex << bits;
  }
}

TEST_P(Rows, HaveProbabilityOneForAVocabularyOfOne) {
  Batch batch(DType::float32, 2, 1);
  batch.find_log_probs();
  EXPECT_EQ(batch.log_prob[1], 0);
  row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
               batch.coefficient.data(), batch.in_place());
  EXPECT_EQ(batch.get(1, 0), 0);
}

TEST_P(Rows, RoundGradientsToNearest) {
  // Over 4000 gradients, truncation would show as a bias of a quarter of a unit.
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    Batch batch(dtype, 1, 4000);
    batch.coefficient[0] = 500;  // out of float16's subnormal range
    Batch gradient = batch;
    batch.find_log_probs();
    row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                 batch.coefficient.data(), gradient.in_place());
    const Reference expected(batch, 0);
    double bias = 0;
    for (std::size_t j = 0; j < 4000; ++j)
      bias += gradient.get(0, std::int64_t(j)) / expected.gradient[j] - 1;
    EXPECT_NEAR(bias / 4000, 0, rounding(dtype) / 20) << name_of(dtype);
  }
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no InvalidArgument";
}

TEST(RowChecks, NameTheRowAndTheLabel) {
  Batch batch(DType::float32, 3, 10);
  const auto check = [&] { batch.find_log_probs(); };
  batch.label(2) = 10;
  EXPECT_THAT(
      message_of(check),
      HasSubstr("cpu::row_log_probs: the label of row 2 is 10; expected a token in [0, 10) or "
                "-100"));
  batch.label(2) = -1;
  EXPECT_THAT(message_of(check), HasSubstr("the label of row 2 is -1"));
  EXPECT_TRUE(std::isnan(batch.log_prob[0])) << "written before the check was done";
}

TEST(RowChecks, RefuseInvalidShapes) {
  Batch batch(DType::float32, 3, 10);
  const auto with = [&](auto change) {
    LogitRows logits = batch.logits;
    RowSelection selection = batch.all();
    change(logits, selection);
    return message_of([&] { check_rows(logits, batch.row_labels(), selection); });
  };
  EXPECT_THAT(with([](auto& l, auto&) { l.vocab = 0; }), HasSubstr("logits.vocab is 0"));
  EXPECT_THAT(with([](auto& l, auto&) { l.padded_vocab = 9; }),
              HasSubstr("logits.padded_vocab 9 is smaller than logits.vocab 10"));
  EXPECT_THAT(with([](auto& l, auto&) { l.data = nullptr; }), HasSubstr("logits.data is null"));
  EXPECT_THAT(with([](auto&, auto& s) { s.count = 4; }), HasSubstr("row 3, but logits have 3"));
  EXPECT_THAT(with([](auto&, auto& s) { s.count = -1; }), HasSubstr("-1 rows"));
  EXPECT_EQ(with([](auto&, auto&) {}), "no InvalidArgument");
}

TEST(RowChecks, RefuseAGradientInPlaceWithAnotherLayout) {
  Batch batch(DType::float32, 3, 10);
  batch.find_log_probs();
  EXPECT_THAT(message_of([&] {
                row_gradient(batch.logits, batch.row_labels(), batch.all(), batch.lse_others.data(),
                             batch.coefficient.data(), {batch.data(), {11}});
              }),
              HasSubstr("layout"));
  EXPECT_THAT(message_of([&] {
                row_gradient(batch.logits, batch.row_labels(), batch.all(), nullptr,
                             batch.coefficient.data(), batch.in_place());
              }),
              HasSubstr("row_log_probs"));
}

TEST(RowChecks, DoNothingForZeroRows) {
  row_log_probs({}, {}, {}, {});
  row_gradient({}, {}, {}, nullptr, nullptr, {});
}

}  // namespace
}  // namespace sp2dpo::cpu
