// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "targets.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/cpu/matrix.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cpu {
namespace {

constexpr DType all_dtypes[] = {DType::float16, DType::bfloat16, DType::float32, DType::float64};

// A matrix in memory of its own, with a gap between rows.
struct Owned {
  Owned(DType dtype, std::int64_t rows, std::int64_t columns, std::uint64_t seed)
      : memory(static_cast<std::size_t>(rows * (columns + 3)) * size_of(dtype)),
        matrix{memory.data(), dtype, rows, columns, columns + 3} {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> spread(0, 1);
    for (std::int64_t i = 0; i < rows * (columns + 3); ++i)
      detail::store(memory.data(), dtype, i, spread(random));
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  [[nodiscard]] double get(std::int64_t row, std::int64_t column) const {
    return detail::load(matrix.data, matrix.dtype, row * matrix.stride + column);
  }
  [[nodiscard]] ConstMatrix view() const {
    return {matrix.data, matrix.dtype, matrix.rows, matrix.columns, matrix.stride};
  }

  std::vector<unsigned char> memory;
  Matrix matrix;
};

class Matrices : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(, Matrices, testing::ValuesIn(EveryTarget::all()), EveryTarget::name);

TEST_P(Matrices, ComputeTheLabelsLogitInFullPrecision) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t columns : {1, 5, 32, 67, 768, 4099}) {
      const Owned hidden(dtype, 4, columns, 1), head(dtype, 10, columns, 2), bias(dtype, 1, 10, 3);
      const std::vector<std::int64_t> labels{3, -100, 9, 0};
      std::vector<double> out(4, -1);
      label_logits(hidden.view(), head.view(), bias.matrix.data, {labels.data()}, {0, 4},
                   out.data());
      EXPECT_EQ(out[1], -1);
      for (const std::int64_t row : {0, 2, 3}) {
        const std::int64_t label = labels[std::size_t(row)];
        long double sum = bias.get(0, label), size = 0;
        for (std::int64_t j = 0; j < columns; ++j) {
          const long double product =
              static_cast<long double>(hidden.get(row, j)) * head.get(label, j);
          sum += product;
          size += product * product;
        }
        EXPECT_NEAR(out[std::size_t(row)], double(sum),
                    double(std::sqrt(size)) * (dtype == DType::float64 ? 5e-15 : 1e-6))
            << name_of(dtype) << ", " << columns << " columns";
      }
    }
}

TEST_P(Matrices, AccumulateInThePrecisionOfTheSum) {
  for (const DType dtype : all_dtypes)
    for (const std::int64_t columns : {1, 15, 16, 17, 64, 101}) {
      const DType wide = dtype == DType::float64 ? DType::float64 : DType::float32;
      const Owned addend(dtype, 3, columns, 4);
      const Owned before(wide, 3, columns, 5);
      Owned sum(wide, 3, columns, 5);
      accumulate(sum.matrix, addend.view(), -0.75);
      for (std::int64_t row = 0; row < 3; ++row) {
        for (std::int64_t j = 0; j < columns; ++j)
          ASSERT_NEAR(sum.get(row, j), before.get(row, j) - 0.75 * addend.get(row, j), 3e-7)
              << name_of(dtype) << ", column " << j;
        if (row < 2) {
          ASSERT_EQ(sum.get(row, columns), before.get(row, columns)) << "past the row";
        }
      }
    }
}

TEST(Matrix, GathersAndScattersRows) {
  const Owned in(DType::bfloat16, 6, 9, 6);
  Owned compact(DType::bfloat16, 3, 9, 7), back(DType::bfloat16, 6, 9, 8);
  const Owned untouched(DType::bfloat16, 6, 9, 8);
  const std::vector<std::int64_t> rows{4, 0, 5};
  gather_rows(in.view(), rows.data(), compact.matrix);
  scatter_rows(compact.view(), rows.data(), back.matrix);
  for (std::int64_t j = 0; j < 9; ++j) {
    EXPECT_EQ(compact.get(0, j), in.get(4, j));
    EXPECT_EQ(back.get(0, j), in.get(0, j));
    EXPECT_EQ(back.get(5, j), in.get(5, j));
    EXPECT_EQ(back.get(1, j), untouched.get(1, j));
  }
}

TEST(Matrix, RefusesDifferentShapesAndTypes) {
  const Owned in(DType::bfloat16, 2, 9, 1), other(DType::float16, 2, 9, 1),
      narrow(DType::bfloat16, 2, 8, 1);
  Owned sum(DType::float32, 2, 9, 1);
  const std::vector<std::int64_t> rows{0, 2};
  const std::vector<std::int64_t> labels{0, 1};
  std::vector<double> out(2);
  EXPECT_THROW(gather_rows(in.view(), rows.data(), other.matrix), InvalidArgument);
  EXPECT_THROW(gather_rows(in.view(), rows.data(), narrow.matrix), InvalidArgument);
  EXPECT_THROW(gather_rows(in.view(), rows.data(), in.matrix), InvalidArgument) << "row 2 of 2";
  EXPECT_THROW(accumulate(in.matrix, in.view()), InvalidArgument) << "a bfloat16 sum";
  EXPECT_THROW(accumulate(sum.matrix, narrow.view()), InvalidArgument);
  EXPECT_THROW(label_logits(in.view(), other.view(), nullptr, {labels.data()}, {0, 2}, out.data()),
               InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::cpu
