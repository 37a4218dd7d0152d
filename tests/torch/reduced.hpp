// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo::test {

/// Reduces the losses [P] with libtorch's own functions.
inline at::Tensor reduced(const at::Tensor& losses, Reduction reduction) {
  return reduction == Reduction::none   ? losses
         : reduction == Reduction::mean ? losses.mean()
                                        : losses.sum();
}

}  // namespace sp2dpo::test
