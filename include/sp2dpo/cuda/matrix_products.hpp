// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>

namespace sp2dpo::cuda {

/// cuBLASLt, and the algorithms that it has chosen so far. Expensive to make, so to be kept; for
/// the device that is current then, and for one thread at a time.
class MatrixProducts {
 public:
  /// A factor of the product.
  struct Operand {
    ConstMatrix matrix;
    bool transposed = false;
  };

  /// Throws CudaError where cuBLASLt does not start.
  MatrixProducts();
  MatrixProducts(const MatrixProducts&) = delete;
  MatrixProducts& operator=(const MatrixProducts&) = delete;
  ~MatrixProducts();

  /// out = op(a) · op(b), or out += op(a) · op(b) with `add`, where op transposes as its flag says.
  /// `out` has the operands' element type or float32. Throws InvalidArgument for shapes and types
  /// that do not fit and matrices without data, CudaError where cuBLASLt fails.
  void operator()(const Operand& a, const Operand& b, const Matrix& out, bool add, void* workspace,
                  std::size_t workspace_bytes, Stream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::cuda
