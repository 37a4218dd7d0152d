// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/cuda/pair_loss.cuh>

namespace sp2dpo::cuda {

std::size_t pair_loss_workspace(std::int64_t pairs) {
  const std::int64_t blocks = detail::pair_loss_blocks(pairs);
  return blocks > 1 ? static_cast<std::size_t>(blocks) * sizeof(double) : 0;
}

template void pair_loss<Sigmoid>(const PairLossArgs&, const Sigmoid&, Stream);

}  // namespace sp2dpo::cuda
