// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <string>

#include <cublasLt.h>

#include <sp2dpo/cuda/matrix_products.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::cuda {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw CudaError(
        fmt::format("cuda::MatrixProducts, {}: {}", what, cublasLtGetStatusName(status)));
}

/// Owns a cuBLASLt object.
template <class T, cublasStatus_t (*destroy)(T)>
struct Owned {
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (object != nullptr) destroy(object);
  }
  T object = nullptr;
};

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::float16 ? CUDA_R_16F : dtype == DType::bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
}

/// cuBLASLt's matrices are column-major, so ours are theirs transposed.
struct Layout : Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> {
  template <class M>
  explicit Layout(const M& m) {
    check(
        cublasLtMatrixLayoutCreate(&object, type_of(m.dtype), static_cast<std::uint64_t>(m.columns),
                                   static_cast<std::uint64_t>(m.rows), m.stride),
        "cublasLtMatrixLayoutCreate");
  }
};

struct Description : Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> {
  Description(bool transposed_a, bool transposed_b) {
    check(cublasLtMatmulDescCreate(&object, CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    set(CUBLASLT_MATMUL_DESC_TRANSA, transposed_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  }
  void set(cublasLtMatmulDescAttributes_t attribute, cublasOperation_t value) {
    check(cublasLtMatmulDescSetAttribute(object, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
};

struct Preference : Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> {
  Preference() { check(cublasLtMatmulPreferenceCreate(&object), "cublasLtMatmulPreferenceCreate"); }
  template <class T>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, T value) {
    check(cublasLtMatmulPreferenceSetAttribute(object, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  }
};

/// Returns the alignment of an address, up to what cuBLASLt uses.
std::uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(256, address & -address));
}

}  // namespace

struct MatrixProducts::State : Owned<cublasLtHandle_t, cublasLtDestroy> {
  /// Everything that the choice of an algorithm depends on.
  using Key = std::array<std::int64_t, 16>;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;
};

MatrixProducts::MatrixProducts() : state_(std::make_unique<State>()) {
  check(cublasLtCreate(&state_->object), "cublasLtCreate");
}

MatrixProducts::~MatrixProducts() = default;

void MatrixProducts::operator()(const Operand& a, const Operand& b, const Matrix& out, bool add,
                                void* workspace, std::size_t workspace_bytes, Stream stream) {
  const auto rows = [](const Operand& x) {
    return x.transposed ? x.matrix.columns : x.matrix.rows;
  };
  const auto columns = [](const Operand& x) {
    return x.transposed ? x.matrix.rows : x.matrix.columns;
  };
  detail::require(columns(a) == rows(b) && out.rows == rows(a) && out.columns == columns(b),
                  "cuda::MatrixProducts: [{}, {}] · [{}, {}] does not give [{}, {}]", rows(a),
                  columns(a), rows(b), columns(b), out.rows, out.columns);
  const DType type = a.matrix.dtype;
  detail::require(
      type != DType::float64 && b.matrix.dtype == type &&
          (out.dtype == type || out.dtype == DType::float32),
      "cuda::MatrixProducts: {} · {} in {}; expected two operands of one type, not float64, "
      "and a product of that type or float32",
      name_of(type), name_of(b.matrix.dtype), name_of(out.dtype));
  if (out.rows == 0 || out.columns == 0) return;
  detail::require(a.matrix.data != nullptr && b.matrix.data != nullptr && out.data != nullptr,
                  "cuda::MatrixProducts: {}.data is null",
                  out.data == nullptr        ? "out"
                  : a.matrix.data == nullptr ? "a.matrix"
                                             : "b.matrix");

  // outᵀ = op(b)ᵀ · op(a)ᵀ.
  const Layout of_a(b.matrix), of_b(a.matrix), of_out(out);
  const Description description(b.transposed, a.transposed);
  const auto integer = [](auto value) { return static_cast<std::int64_t>(value); };
  const State::Key key{integer(type),
                       integer(out.dtype),
                       out.rows,
                       out.columns,
                       columns(a),
                       a.transposed,
                       b.transposed,
                       add,
                       a.matrix.stride,
                       b.matrix.stride,
                       out.stride,
                       integer(alignment_of(a.matrix.data)),
                       integer(alignment_of(b.matrix.data)),
                       integer(alignment_of(out.data)),
                       integer(workspace_bytes)};
  auto found = state_->algorithms.find(key);
  if (found == state_->algorithms.end()) {
    Preference preference;
    preference.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    // Partial sums go through the workspace, never through atomic additions.
    preference.set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                   static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(b.matrix.data));
    preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(a.matrix.data));
    preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(out.data));
    preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(out.data));
    cublasLtMatmulHeuristicResult_t result{};
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(state_->object, description.object, of_a.object,
                                         of_b.object, of_out.object, of_out.object,
                                         preference.object, 1, &result, &count),
          "cublasLtMatmulAlgoGetHeuristic");
    if (count == 0) check(CUBLAS_STATUS_NOT_SUPPORTED, "no algorithm for this product");
    found = state_->algorithms.emplace(key, result.algo).first;
  }
  const float one = 1, keep = add ? 1 : 0;
  check(cublasLtMatmul(state_->object, description.object, &one, b.matrix.data, of_a.object,
                       a.matrix.data, of_b.object, &keep, out.data, of_out.object, out.data,
                       of_out.object, &found->second, workspace, workspace_bytes, stream),
        "cublasLtMatmul");
}

}  // namespace sp2dpo::cuda
