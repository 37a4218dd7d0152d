// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/cuda/pair_loss.hpp>

int main() {
  // No pairs, so no GPU is needed.
  sp2dpo::cuda::pair_loss({}, sp2dpo::Sigmoid{}, nullptr);
  return sp2dpo::cuda::pair_loss_workspace(1) == 0 ? 0 : 1;
}
