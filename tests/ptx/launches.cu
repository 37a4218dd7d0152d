// SPDX-License-Identifier: Apache-2.0
#include "launches.hpp"

namespace sp2dpo::ptx {
namespace {

__global__ void __launch_bounds__(512) nothing_kernel() {
  __shared__ volatile int memory[1024];
  memory[threadIdx.x] = 0;
}

__global__ void dynamic_kernel(int* out, int count) {
  extern __shared__ int memory[];
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x))
    memory[i] = i;
  __syncthreads();
  if (threadIdx.x == 0) *out = memory[count - 1];
}

__global__ void waiting_kernel(const volatile int* flag) {
  while (*flag == 0) {
  }
}

}  // namespace

void launch_waiting(const int* flag) {
  waiting_kernel<<<1, 1>>>(flag);
}

cudaError_t launch_nothing(dim3 grid, dim3 block, unsigned cluster, cudaStream_t stream) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {cluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = cluster > 1 ? 1 : 0;
  return cudaLaunchKernelEx(&config, nothing_kernel);
}

cudaError_t launch_dynamic(int* out, int count, bool opt_in) {
  const auto bytes = static_cast<std::size_t>(count) * sizeof(int);
  if (opt_in)
    if (const auto error = cudaFuncSetAttribute(
            dynamic_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)))
      return error;
  dynamic_kernel<<<1, 64, bytes>>>(out, count);
  return cudaGetLastError();
}

}  // namespace sp2dpo::ptx
