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

/// Launches the kernel and throws CudaError if the launch itself fails. Does not ask for the last
/// error, which may be another library's.
template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), dim3 grid, unsigned threads,
            cudaStream_t stream, const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), what);
}

}  // namespace sp2dpo::cuda::detail
