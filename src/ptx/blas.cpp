// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device.hpp"
#include "names.hpp"
#include <cublasLt.h>
#include <fmt/format.h>

/// A stand-in for cuBLASLt. It sums matrix products in double, rounds once, and checks its memory
/// as the machine does for kernels. Descriptors keep the attributes that were set, as bytes.
namespace sp2dpo::ptx {
namespace {

struct Attributes {
  std::map<int, std::vector<std::byte>> bytes;

  void set(int attribute, const void* value, std::size_t size) {
    const auto* const from = static_cast<const std::byte*>(value);
    bytes[attribute].assign(from, from + size);
  }
  template <class T>
  [[nodiscard]] T get(int attribute, T otherwise) const {
    const auto found = bytes.find(attribute);
    if (found == bytes.end()) return otherwise;
    T value;
    std::memcpy(&value, found->second.data(), sizeof value);
    return value;
  }
};

struct Layout : Attributes {
  cudaDataType_t type;
  std::uint64_t rows, columns;
  std::int64_t leading;

  [[nodiscard]] bool is_row_major() const {
    return get(CUBLASLT_MATRIX_LAYOUT_ORDER, CUBLASLT_ORDER_COL) == CUBLASLT_ORDER_ROW;
  }
  [[nodiscard]] std::size_t place(std::uint64_t row, std::uint64_t column) const {
    const auto stride = static_cast<std::uint64_t>(leading);
    return is_row_major() ? row * stride + column : column * stride + row;
  }
  [[nodiscard]] bool holds_its_lines() const {
    return leading >= static_cast<std::int64_t>(is_row_major() ? columns : rows);
  }
};

struct Product : Attributes {
  cudaDataType_t scale_type;
};

template <class T, class Handle>
T& at(Handle handle) {
  return *reinterpret_cast<T*>(handle);
}

std::size_t size_of(cudaDataType_t type) {
  return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2;
}

double load(const std::byte* from, cudaDataType_t type) {
  const auto as = [from]<class T>(T value) {
    std::memcpy(&value, from, sizeof value);
    return value;
  };
  switch (type) {
    case CUDA_R_64F:
      return as(double());
    case CUDA_R_32F:
      return as(float());
    case CUDA_R_16F:
      return as(_Float16());
    default:
      return std::bit_cast<float>(std::uint32_t{as(std::uint16_t())} << 16);
  }
}

void store(std::byte* to, cudaDataType_t type, double value) {
  const auto as = [to](auto rounded) { std::memcpy(to, &rounded, sizeof rounded); };
  switch (type) {
    case CUDA_R_64F:
      return as(value);
    case CUDA_R_32F:
      return as(static_cast<float>(value));
    case CUDA_R_16F:
      return as(static_cast<_Float16>(value));
    default: {
      const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
      return as(static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
    }
  }
}

void say(std::string_view matrix, std::string_view what) {
  device().findings().add(fmt::format("cublasLtMatmul: {} {}", matrix, what));
}

/// What an algorithm was chosen for, which a real one relies on. The algorithm's bytes hold it.
struct Choice {
  std::uint64_t problem;                    // see problem_of()
  std::array<std::uint16_t, 4> alignments;  // in bytes, as the preference declares them: A, B, C, D
  std::uint64_t workspace_bytes;
};
static_assert(sizeof(Choice) <= sizeof(cublasLtMatmulAlgo_t));

/// Returns a hash of the types, sizes, strides and transpositions.
std::uint64_t problem_of(const Product& product, std::initializer_list<const Layout*> layouts) {
  std::uint64_t hash = 1469598103934665603u;
  const auto mix = [&](std::uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  mix(product.get(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_N));
  mix(product.get(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N));
  for (const Layout* layout : layouts) {
    mix(static_cast<std::uint64_t>(layout->type));
    mix(layout->rows);
    mix(layout->columns);
    mix(static_cast<std::uint64_t>(layout->leading));
  }
  return hash;
}

void check_choice(const Choice& choice, std::uint64_t problem,
                  const std::array<const void*, 4>& matrices, const void* workspace,
                  std::size_t workspace_bytes) {
  if (choice.problem != problem) say("the algorithm", "was chosen for another product");
  constexpr const char* names[] = {"A", "B", "C", "D"};
  for (std::size_t i = 0; i < matrices.size(); ++i)
    if (reinterpret_cast<std::uintptr_t>(matrices[i]) % choice.alignments[i] != 0)
      say(names[i], fmt::format("is not aligned to {} bytes, as its preference declared",
                                choice.alignments[i]));
  if (workspace_bytes < choice.workspace_bytes)
    say("the workspace", "is smaller than the algorithm's");
  if (workspace_bytes > 0 && reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0)
    say("the workspace", "is not aligned to 256 bytes");
}

/// Returns the memory of a matrix. Adds a finding and returns null if no allocation holds it.
GlobalMemory::Place memory_of(const char* name, const void* data, const Layout& layout) {
  const std::size_t end = layout.place(layout.rows - 1, layout.columns - 1) + 1;
  const auto place = device().memory().find(data, end * size_of(layout.type));
  if (place.region == nullptr) say(name, "is not inside an allocation");
  return place;
}

/// Reads op(matrix), row by row.
std::optional<std::vector<double>> read(const char* name, const void* data, const Layout& layout,
                                        bool transposed) {
  const auto place = memory_of(name, data, layout);
  if (place.region == nullptr) return {};
  std::vector<double> values;
  const std::uint64_t rows = transposed ? layout.columns : layout.rows;
  const std::uint64_t columns = transposed ? layout.rows : layout.columns;
  const std::size_t size = size_of(layout.type);
  bool is_written = true;
  for (std::uint64_t i = 0; i < rows; ++i)
    for (std::uint64_t j = 0; j < columns; ++j) {
      const std::size_t offset =
          place.offset + size * (transposed ? layout.place(j, i) : layout.place(i, j));
      is_written = is_written && place.region->cells()[offset / 2].is_initialised;
      values.push_back(load(place.region->data() + offset, layout.type));
    }
  if (!is_written) say(name, "has uninitialised elements");
  return values;
}

double scalar(const void* value, const Product& product) {
  const auto mode = product.get(CUBLASLT_MATMUL_DESC_POINTER_MODE, CUBLASLT_POINTER_MODE_HOST);
  const auto* from = static_cast<const std::byte*>(value);
  if (mode == CUBLASLT_POINTER_MODE_DEVICE) {
    const auto place = device().memory().find(value, size_of(product.scale_type));
    if (place.region == nullptr) {
      say("a scalar", "is not inside an allocation");
      return 0;
    }
    from = place.region->data() + place.offset;
  }
  return load(from, product.scale_type);
}

cublasStatus_t multiply(const Product& product, const void* alpha, const void* a,
                        const Layout& of_a, const void* b, const Layout& of_b, const void* beta,
                        const void* c, const Layout& of_c, void* d, const Layout& of_d) {
  const auto is_transposed = [&](cublasLtMatmulDescAttributes_t attribute) {
    return product.get(attribute, CUBLAS_OP_N) != CUBLAS_OP_N;
  };
  const bool a_transposed = is_transposed(CUBLASLT_MATMUL_DESC_TRANSA);
  const bool b_transposed = is_transposed(CUBLASLT_MATMUL_DESC_TRANSB);
  const std::uint64_t rows = a_transposed ? of_a.columns : of_a.rows;
  const std::uint64_t depth = a_transposed ? of_a.rows : of_a.columns;
  const std::uint64_t columns = b_transposed ? of_b.rows : of_b.columns;
  if ((b_transposed ? of_b.columns : of_b.rows) != depth || of_d.rows != rows ||
      of_d.columns != columns || of_c.rows != rows || of_c.columns != columns)
    return CUBLAS_STATUS_INVALID_VALUE;
  for (const Layout* layout : {&of_a, &of_b, &of_c, &of_d})
    if (!layout->holds_its_lines()) return CUBLAS_STATUS_INVALID_VALUE;
  if (product.get(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT) !=
      CUBLASLT_EPILOGUE_DEFAULT)
    return CUBLAS_STATUS_NOT_SUPPORTED;

  const double by = scalar(alpha, product), keep = scalar(beta, product);
  const auto left = read("A", a, of_a, a_transposed);
  const auto right = read("B", b, of_b, !b_transposed);  // row i is column i of B
  const auto before = keep == 0 ? std::vector<double>() : read("C", c, of_c, false);
  const auto place = memory_of("D", d, of_d);
  if (!left || !right || !before || place.region == nullptr) return CUBLAS_STATUS_SUCCESS;
  const std::size_t size = size_of(of_d.type);
  for (std::uint64_t i = 0; i < rows; ++i)
    for (std::uint64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::uint64_t k = 0; k < depth; ++k)
        sum += (*left)[i * depth + k] * (*right)[j * depth + k];
      const double old = keep == 0 ? 0 : keep * (*before)[i * columns + j];
      const std::size_t offset = place.offset + size * of_d.place(i, j);
      store(place.region->data() + offset, of_d.type, by * sum + old);
      place.region->set_initialised(offset, size);
    }
  return CUBLAS_STATUS_SUCCESS;
}

template <class T, class Handle>
cublasStatus_t make(Handle* out, T value) {
  *out = reinterpret_cast<Handle>(new T(std::move(value)));
  return CUBLAS_STATUS_SUCCESS;
}

template <class T, class Handle>
cublasStatus_t destroy(Handle handle) {
  delete &at<T>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

template <class T, class Handle>
cublasStatus_t set(Handle handle, int attribute, const void* value, std::size_t size) {
  at<T>(handle).set(attribute, value, size);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace
}  // namespace sp2dpo::ptx

using namespace sp2dpo::ptx;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* out) {
  if (device().take_fault("cublasLtCreate")) return CUBLAS_STATUS_NOT_INITIALIZED;
  return make(out, Attributes());
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return destroy<Attributes>(handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* out, cublasComputeType_t,
                                        cudaDataType_t scale_type) {
  return make(out, Product{{}, scale_type});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  return destroy<Product>(product);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t size) {
  return set<Product>(product, attribute, value, size);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* out, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t leading) {
  return make(out, Layout{{}, type, rows, columns, leading});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy<Layout>(layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, std::size_t size) {
  return set<Layout>(layout, attribute, value, size);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* out) {
  return make(out, Attributes());
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy<Attributes>(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t size) {
  return set<Attributes>(preference, attribute, value, size);
}

/// Offers one algorithm, which uses all the workspace that the preference allows.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t of_a,
    cublasLtMatrixLayout_t of_b, cublasLtMatrixLayout_t of_c, cublasLtMatrixLayout_t of_d,
    cublasLtMatmulPreference_t preference, int, cublasLtMatmulHeuristicResult_t results[],
    int* count) {
  *count = 0;
  if (device().take_fault("cublasLtMatmulAlgoGetHeuristic")) return CUBLAS_STATUS_NOT_SUPPORTED;
  *count = 1;
  results[0] = {};
  const auto& wanted = at<Attributes>(preference);
  results[0].workspaceSize = wanted.get<std::size_t>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 0);
  // By default cuBLASLt takes any scheme, of which some add in no fixed order, and expects matrices
  // that are aligned to 256 bytes.
  if (wanted.get<std::uint32_t>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                CUBLASLT_REDUCTION_SCHEME_MASK) &
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_INPLACE))
    say("the preference", "allows sums in place, whose order is not fixed");
  const auto alignment = [&](cublasLtMatmulPreferenceAttributes_t attribute) {
    return static_cast<std::uint16_t>(wanted.get<std::uint32_t>(attribute, 256));
  };
  const Choice choice{problem_of(at<Product>(product), {&at<Layout>(of_a), &at<Layout>(of_b),
                                                        &at<Layout>(of_c), &at<Layout>(of_d)}),
                      {alignment(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES),
                       alignment(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES),
                       alignment(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES),
                       alignment(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)},
                      results[0].workspaceSize};
  std::memcpy(&results[0].algo, &choice, sizeof choice);
  results[0].state = CUBLAS_STATUS_SUCCESS;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t of_a, const void* b,
                              cublasLtMatrixLayout_t of_b, const void* beta, const void* c,
                              cublasLtMatrixLayout_t of_c, void* d, cublasLtMatrixLayout_t of_d,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  if (device().take_fault("cublasLtMatmul")) return CUBLAS_STATUS_EXECUTION_FAILED;
  device().launches().push_back({"cublasLtMatmul", {}, {}, {}, 0, stream});
  if (algorithm != nullptr) {
    Choice choice;
    std::memcpy(&choice, algorithm, sizeof choice);
    check_choice(choice,
                 problem_of(at<Product>(product), {&at<Layout>(of_a), &at<Layout>(of_b),
                                                   &at<Layout>(of_c), &at<Layout>(of_d)}),
                 {a, b, c, d}, workspace, workspace_bytes);
  }
  if (workspace_bytes > 0) {
    const auto place = device().memory().find(workspace, workspace_bytes);
    if (place.region == nullptr)
      say("the workspace", "is not inside an allocation");
    else  // an algorithm may leave anything there
      place.region->forget(place.offset, workspace_bytes);
  }
  return multiply(at<Product>(product), alpha, a, at<Layout>(of_a), b, at<Layout>(of_b), beta, c,
                  at<Layout>(of_c), d, at<Layout>(of_d));
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  static constexpr std::pair<cublasStatus_t, const char*> names[] = {
      {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS"},
      {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED"},
      {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE"},
      {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED"},
      {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED"}};
  return name_in(names, status);
}
const char* cublasLtGetStatusString(cublasStatus_t) {
  return "an error of the interpreter's cuBLASLt";
}

}  // extern "C"
