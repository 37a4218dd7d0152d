// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <cuda_runtime.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::cuda::detail {

/// Throws CudaError unless `status` is success. Clears the error, so that the next call does not
/// report it again.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw CudaError(std::string(what) + ": " + cudaGetErrorName(status) + ", " +
                  cudaGetErrorString(status));
}

inline void check_launch(const char* what) {
  check(cudaGetLastError(), what);
}

}  // namespace sp2dpo::cuda::detail
