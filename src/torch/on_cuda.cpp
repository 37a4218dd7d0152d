// SPDX-License-Identifier: Apache-2.0
#include "on_cuda.hpp"

#include "dtypes.hpp"
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::on_cuda {

void pair_loss(const AnyObjective& objective, const PairInputs& in, const PairOutputs& out,
               std::int64_t pairs, const at::Tensor& total) {
  const c10::cuda::CUDAGuard guard(total.device());
  const std::size_t bytes = cuda::pair_loss_workspace(pairs);
  // Freed on this stream's terms by the caching allocator, so it may go before the kernel has run.
  const at::Tensor workspace =
      at::empty({static_cast<std::int64_t>(bytes)}, total.options().dtype(at::kByte));
  try {
    cuda::pair_loss({.in = in,
                     .out = out,
                     .total = {total.data_ptr(), dtype_of(total)},
                     .pairs = pairs,
                     .workspace = bytes > 0 ? workspace.data_ptr() : nullptr,
                     .workspace_bytes = bytes},
                    objective, c10::cuda::getCurrentCUDAStream());
  } catch (const Error& error) {
    TORCH_CHECK(false, "sp2dpo::Loss: ", error.what());
  }
}

}  // namespace sp2dpo::on_cuda
