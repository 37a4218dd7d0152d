// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>

namespace sp2dpo::cuda {

/// A cuBLASLt handle and the algorithms that it has chosen so far. Keep the object: it is expensive
/// to make. It belongs to the device that is current at construction, and to one thread at a time.
class MatrixProducts {
 public:
  /// A factor of the product.
  struct Operand {
    ConstMatrix matrix;
    bool transposed = false;
  };

  /// Throws CudaError if cuBLASLt does not start.
  MatrixProducts();
  MatrixProducts(const MatrixProducts&) = delete;
  MatrixProducts& operator=(const MatrixProducts&) = delete;
  ~MatrixProducts();

  /// Computes out = op(a) · op(b), or out += op(a) · op(b) with `add`, where op transposes if its
  /// flag is set. `out` has the operands' element type or float32. Throws InvalidArgument for
  /// shapes and types that do not fit and for null matrices, and CudaError if cuBLASLt fails.
  void operator()(const Operand& a, const Operand& b, const Matrix& out, bool add, void* workspace,
                  std::size_t workspace_bytes, Stream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::cuda
