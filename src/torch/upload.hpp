// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// Returns a tensor of the CPU on `device` without waiting for the work that the device has queued,
/// and any other tensor by `tensor.to(device)`. Tensor::to waits, unless the memory is page-locked.
at::Tensor uploaded(const at::Tensor& tensor, const at::Device& device);

}  // namespace sp2dpo
