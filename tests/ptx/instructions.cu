// SPDX-License-Identifier: Apache-2.0
#include "instructions.hpp"

namespace sp2dpo::ptx {
namespace {

template <class Function>
__global__ void by_thread(const Words* in, Words* out, Function function) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = function(in[i]);
}

/// Exchanges the lanes' numbers and words within a warp.
__global__ void by_warp(const Words* in, Words* out) {
  constexpr unsigned all = 0xffffffffu;
  const unsigned lane = threadIdx.x % 32;
  const auto word = static_cast<unsigned>(in[threadIdx.x].a);
  Words& result = out[threadIdx.x];
  result.a = __shfl_up_sync(all, word, 3) + (__ballot_sync(all, word & 1) << 1);
  result.b = __shfl_sync(all, word, 5, 8) ^ __shfl_down_sync(all, word, 7, 16);
  result.x = static_cast<double>(__shfl_xor_sync(all, word, 9)) +
             (__any_sync(all, word == 77) ? 0.5 : 0) + (__all_sync(all, lane < 32) ? 0.25 : 0);
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  result.y = __reduce_add_sync(all, word & 0xff) + 1024.0 * __reduce_max_sync(all, word & 0xff);
#endif
}

__device__ int counter = 40;
__constant__ int table[4] = {1, 10, 100};

/// Adds table[i % 4] for each thread i, and adds 2 to the counter.
__global__ void use_variables(int* sum, unsigned long long* word, int* count) {
  int seen = atomicCAS(sum, 0, 0);
  for (int old = ~seen; old != seen;) {
    old = seen;
    seen = atomicCAS(sum, old, old + table[threadIdx.x % 4]);
  }
  if (threadIdx.x != 0) return;
  counter += 2;
  *count = counter;
  atomicExch(word, atomicCAS(word, 7ull << 40, 9ull << 40) + 1);
}

}  // namespace

void use_variables_on_device(int* sum, unsigned long long* word, int* count) {
  use_variables<<<1, 128>>>(sum, word, count);
}
cudaError_t set_variable(const int* values) {
  return cudaMemcpyToSymbol(table, values, 4 * sizeof(int));
}
cudaError_t get_variable(int* value) {
  return cudaMemcpyFromSymbol(value, counter, sizeof *value);
}

void integers_on_device(const Words* in, Words* out, unsigned blocks) {
  by_thread<<<blocks, 128>>>(in, out, Integers());
}
void floats_on_device(const Words* in, Words* out, unsigned blocks) {
  by_thread<<<blocks, 128>>>(in, out, Floats());
}
void functions_on_device(const Words* in, Words* out, unsigned blocks) {
  by_thread<<<blocks, 128>>>(in, out, Functions());
}
void warps_on_device(const Words* in, Words* out) {
  by_warp<<<1, 128>>>(in, out);
}

}  // namespace sp2dpo::ptx
