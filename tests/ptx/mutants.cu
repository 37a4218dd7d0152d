// SPDX-License-Identifier: Apache-2.0
#include "mutants.hpp"
#include <cooperative_groups.h>
#include <cuda_runtime.h>

namespace sp2dpo::ptx {
namespace {

constexpr int threads = 64;
constexpr unsigned all_lanes = 0xffffffffu;

__device__ float warp_sum(float value, int first_offset) {
  for (int offset = first_offset; offset > 0; offset /= 2)
    value += __shfl_xor_sync(all_lanes, value, offset);
  return value;
}

/// One block per row of `columns` floats, a multiple of 4: its sum without the element `label`,
/// that element, and the row doubled in place.
template <Bug bug>
__global__ void row_kernel(float* rows, const int* labels, float* sums, float* at_label,
                           int columns) {
  __shared__ float of_warp[threads / 32];
  __shared__ float label_value;
  float* const row = rows + static_cast<long>(blockIdx.x) * columns;
  const int thread = static_cast<int>(threadIdx.x);
  const int label = labels[blockIdx.x];

  if (bug != Bug::label_never_written && thread == 0) label_value = 0;
  if constexpr (bug != Bug::no_barrier_before_label) __syncthreads();

  const int skew = bug == Bug::unaligned_load ? 1 : 0;
  const int count = columns / 4 + (bug == Bug::loop_too_long ? 1 : 0);
  constexpr int stride = bug == Bug::stride_too_small ? threads - 1 : threads;
  float sum = 0;
  for (int i = thread; i < count; i += stride) {
    float4 v = *reinterpret_cast<const float4*>(row + skew + 4 * i);
    float* const x = &v.x;
    for (int k = 0; k < 4; ++k) {
      if (4 * i + k == label) {
        if constexpr (bug != Bug::label_never_written) label_value = x[k];
      } else {
        sum += x[k];
      }
      x[k] *= 2;
    }
    const int shift = bug == Bug::store_one_row_on ? columns / 4 : 0;
    reinterpret_cast<float4*>(row)[i + shift] = v;
  }

  sum = warp_sum(sum, bug == Bug::half_a_warp ? 8 : 16);
  if (thread % 32 == 0) of_warp[thread / 32] = sum;
  if constexpr (bug == Bug::thread_leaves_early) {
    if (thread == 7) return;
  }
  if constexpr (bug == Bug::divergent_barrier) {
    if (thread < 32) {
      __syncthreads();
    } else {
      atomicAdd(&sums[gridDim.x], 0.0f);  // keeps the compiler from merging the barriers
      __syncthreads();
    }
  } else if constexpr (bug == Bug::warp_barrier_for_block) {
    __syncwarp();
  } else if constexpr (bug == Bug::barrier_in_one_warp) {
    if (thread < 32) __syncthreads();
  } else if constexpr (bug != Bug::no_barrier_before_total) {
    __syncthreads();
  }
  if constexpr (bug == Bug::mask_of_all_in_half_a_warp) {
    if (thread % 32 < 16) sum += 0 * __shfl_xor_sync(all_lanes, sum, 1);
  }
  if constexpr (bug == Bug::source_outside_mask) {
    if (thread % 32 < 16) of_warp[thread / 32] += 0 * __shfl_down_sync(0xffffu, sum, 16);
    __syncthreads();
  }
  if (thread != 0) return;
  const int at = bug == Bug::all_blocks_write_one_place ? 0 : static_cast<int>(blockIdx.x);
  const int past = bug == Bug::store_past_end ? 1 : 0;
  if (bug == Bug::last_never_written && blockIdx.x == gridDim.x - 1) return;
  sums[at + past * static_cast<int>(gridDim.x + 1)] = of_warp[0] + of_warp[1];
  at_label[at] = label_value;
}

/// Takes the larger bfloat16 of two words in each half, in place.
template <Bug bug>
__global__ void pair_kernel(unsigned* words) {
  const unsigned a = words[2 * threadIdx.x];
  const unsigned b = words[2 * threadIdx.x + 1];
  unsigned result;
  if constexpr (bug == Bug::wrong_opcode)
    asm("min.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  else
    asm("max.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  words[2 * threadIdx.x] = result;
}

/// Counts each thread once, warp by warp through shared memory: every lane reads all that its warp
/// wrote, then overwrites it.
template <Bug bug>
__global__ void count_kernel(unsigned* count) {
  __shared__ unsigned ones[threads];
  ones[threadIdx.x] = 1;
  if constexpr (bug != Bug::no_warp_barrier) __syncwarp();
  const unsigned first = threadIdx.x / 32 * 32;
  unsigned total = 0;
  for (unsigned i = 0; i < 32; ++i) total += ones[first + i];
  if constexpr (bug != Bug::no_warp_barrier_after_reads) __syncwarp();
  ones[threadIdx.x] = total;
  if (threadIdx.x % 32 != 0) return;
  if constexpr (bug == Bug::plain_addition_for_atomic)
    *count += ones[threadIdx.x];
  else
    atomicAdd(count, ones[threadIdx.x]);
}

/// The blocks of a cluster exchange their ranks.
template <Bug bug>
__global__ void cluster_kernel(int* sums) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  namespace cg = cooperative_groups;
  const cg::cluster_group cluster = cg::this_cluster();
  __shared__ int rank;
  if (threadIdx.x == 0) rank = static_cast<int>(cluster.block_rank()) + 1;
  if constexpr (bug == Bug::block_barrier_for_cluster)
    __syncthreads();
  else
    cluster.sync();
  int sum = 0;
  const unsigned first = bug == Bug::rank_too_large ? 1 : 0;
  for (unsigned block = 0; block < cluster.num_blocks(); ++block)
    sum += *cluster.map_shared_rank(&rank, static_cast<int>(block + first));
  if constexpr (bug != Bug::no_last_cluster_barrier) cluster.sync();
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
#endif
}

template <class... Parameters>
void launch_clusters(void (*kernel)(Parameters...), unsigned blocks, unsigned size,
                     Parameters... arguments) {
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {size, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.attrs = &cluster;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

template <Bug bug>
constexpr Mutant mutant{
    bug,
    [](float* rows, const int* labels, float* sums, float* at_label, int count, int columns) {
      row_kernel<bug>
          <<<static_cast<unsigned>(count), threads>>>(rows, labels, sums, at_label, columns);
    },
    [](unsigned* words) { pair_kernel<bug><<<1, threads>>>(words); },
    [](unsigned* count) { count_kernel<bug><<<3, threads>>>(count); },
    [](int* sums) { launch_clusters(cluster_kernel<bug>, 8, 4, sums); }};

template <int... bugs>
constexpr auto all(std::integer_sequence<int, bugs...>) {
  return std::array{mutant<static_cast<Bug>(bugs)>...};
}

}  // namespace

const std::array<Mutant, bug_count>& mutants() {
  static constexpr auto table = all(std::make_integer_sequence<int, bug_count>());
  return table;
}

}  // namespace sp2dpo::ptx
