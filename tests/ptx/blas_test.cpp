// SPDX-License-Identifier: Apache-2.0
#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include <cublasLt.h>
#include <gmock/gmock.h>

// The interpreter's cuBLASLt, which the tests of the hidden level run on.
namespace sp2dpo::ptx {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Matrix {
  const DeviceArray<float>& array;
  std::uint64_t rows, columns;
  cublasLtOrder_t order = CUBLASLT_ORDER_COL;
  cublasOperation_t operation = CUBLAS_OP_N;
};

cublasLtMatrixLayout_t layout_of(const Matrix& matrix) {
  cublasLtMatrixLayout_t layout = nullptr;
  const auto line = matrix.order == CUBLASLT_ORDER_ROW ? matrix.columns : matrix.rows;
  cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, matrix.rows, matrix.columns,
                             static_cast<std::int64_t>(line));
  cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &matrix.order,
                                   sizeof matrix.order);
  return layout;
}

/// out = a · b + beta · out
cublasStatus_t multiply(const Matrix& a, const Matrix& b, const Matrix& out, float beta) {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &a.operation,
                                 sizeof a.operation);
  cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &b.operation,
                                 sizeof b.operation);
  auto *const of_a = layout_of(a), *const of_b = layout_of(b), *const of_out = layout_of(out);
  const float alpha = 1;
  const auto status = cublasLtMatmul(nullptr, product, &alpha, a.array.data(), of_a, b.array.data(),
                                     of_b, &beta, out.array.data(), of_out, out.array.data(),
                                     of_out, nullptr, nullptr, 0, nullptr);
  for (auto* const layout : {of_a, of_b, of_out}) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulDescDestroy(product);
  return status;
}

TEST(PtxBlas, MultipliesByOrderAndTransposition) {
  const DeviceArray<float> a(std::vector<float>{1, 2, 3, 4, 5, 6});
  const DeviceArray<float> b(std::vector<float>{1, 0, -1, 2, 1, 0});
  const DeviceArray<float> out(4);
  // By columns: [1 3 5; 2 4 6] · [1 2; 0 1; -1 0]
  ASSERT_EQ(multiply({a, 2, 3}, {b, 3, 2}, {out, 2, 2}, 0), CUBLAS_STATUS_SUCCESS);
  EXPECT_THAT(out.get(), ElementsAre(-4, -4, 5, 8));
  // By rows: [1 2 3; 4 5 6] · [1 0; -1 2; 1 0], added to the previous result
  ASSERT_EQ(multiply({a, 2, 3, CUBLASLT_ORDER_ROW}, {b, 3, 2, CUBLASLT_ORDER_ROW}, {out, 2, 2}, 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_THAT(out.get(), ElementsAre(-4 + 2, -4 + 5, 5 + 4, 8 + 10));
  // Transposing the same memory gives the other order.
  ASSERT_EQ(multiply({a, 3, 2, CUBLASLT_ORDER_COL, CUBLAS_OP_T}, {b, 3, 2, CUBLASLT_ORDER_ROW},
                     {out, 2, 2}, 0),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_THAT(out.get(), ElementsAre(2, 5, 4, 10));
}

TEST(PtxBlas, RefusesShapesThatDoNotFit) {
  const DeviceArray<float> a(std::vector<float>(6)), out(std::vector<float>(4));
  EXPECT_EQ(multiply({a, 2, 3}, {a, 2, 3}, {out, 2, 2}, 0), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(PtxBlas, FindsUninitialisedElementsAndAccessesOutsideOfAllocations) {
  const DeviceArray<float> a(std::vector<float>(6)), unwritten(6), out(4), small(3);
  multiply({a, 2, 3}, {unwritten, 3, 2}, {out, 2, 2}, 0);
  multiply({a, 2, 3}, {a, 3, 2}, {small, 2, 2}, 0);
  EXPECT_THAT(device().findings().take(), ElementsAre(HasSubstr("B has uninitialised elements"),
                                                      HasSubstr("D is not inside an allocation")));
}

}  // namespace
}  // namespace sp2dpo::ptx
