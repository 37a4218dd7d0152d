// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <typeinfo>

#include <cuda_runtime.h>

#include <sp2dpo/cuda/check.cuh>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cuda {
namespace detail {

inline constexpr int threads_per_block = 512;
inline constexpr std::int64_t pairs_in_one_block = 4096;
inline constexpr std::int64_t max_blocks = 1024;

[[nodiscard]] inline std::int64_t pair_loss_blocks(std::int64_t pairs) {
  if (pairs <= pairs_in_one_block) return 1;
  return std::min(max_blocks, (pairs + threads_per_block - 1) / threads_per_block);
}

/// Returns the sum over the block, in a fixed order; valid in thread 0.
__device__ inline double block_sum(double value) {
  __shared__ double warps[threads_per_block / 32];
  constexpr unsigned all = 0xffffffffu;
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(all, value, offset);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x >= 32) return 0;
  value = threadIdx.x < threads_per_block / 32 ? warps[threadIdx.x] : 0.0;
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(all, value, offset);
  return value;
}

/// Writes each block's sum to `partial`; a single block writes the total.
template <class Objective>
__global__ void __launch_bounds__(threads_per_block)
    pair_loss_kernel(PairInputs in, PairOutputs out, PairSink total, double* partial,
                     std::int64_t pairs, Objective objective) {
  const auto stride = static_cast<std::int64_t>(gridDim.x) * threads_per_block;
  double sum = 0;
  for (auto i = static_cast<std::int64_t>(blockIdx.x) * threads_per_block + threadIdx.x; i < pairs;
       i += stride)
    sum += pair_step(in, out, objective, i);
  sum = block_sum(sum);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1)
    total.set(0, out.gradient_scale * sum);
  else
    partial[blockIdx.x] = sum;
}

/// One block sums what the others wrote.
static __global__ void __launch_bounds__(threads_per_block)
    total_kernel(const double* partial, int blocks, PairSink total, double scale) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += threads_per_block) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) total.set(0, scale * sum);
}

}  // namespace detail

template <PairObjective Objective>
void pair_loss(const PairLossArgs& args, const Objective& objective, Stream stream) {
  if (args.pairs == 0) return;
  if (args.pairs < 0)
    throw InvalidArgument("cuda::pair_loss: pairs is " + std::to_string(args.pairs));
  sp2dpo::detail::require_inputs("cuda::pair_loss", "in.", args.in);
  const std::size_t wanted = pair_loss_workspace(args.pairs);
  if (args.workspace_bytes < wanted || (wanted > 0 && args.workspace == nullptr))
    throw InvalidArgument("cuda::pair_loss: " + std::to_string(args.pairs) + " pairs need " +
                          std::to_string(wanted) + " bytes of workspace, got " +
                          std::to_string(args.workspace == nullptr ? 0 : args.workspace_bytes));
  const auto blocks = static_cast<int>(detail::pair_loss_blocks(args.pairs));
  auto* partial = static_cast<double*>(args.workspace);
  detail::launch("cuda::pair_loss", detail::pair_loss_kernel<Objective>,
                 static_cast<unsigned>(blocks), detail::threads_per_block, stream, args.in,
                 args.out, args.total, partial, args.pairs, objective);
  if (blocks == 1) return;
  detail::launch("cuda::pair_loss, total", detail::total_kernel, 1u, detail::threads_per_block,
                 stream, partial, blocks, args.total, args.out.gradient_scale);
}

/// Makes your own objective usable on CUDA tensors, by one line in a .cu file:
///
///     static const sp2dpo::cuda::Registered<Mine> registered;
template <PairObjective Objective>
struct Registered {
  Registered() {
    register_objective(typeid(Objective),
                       [](const PairLossArgs& args, const void* objective, Stream stream) {
                         pair_loss(args, *static_cast<const Objective*>(objective), stream);
                       });
  }
};

}  // namespace sp2dpo::cuda
