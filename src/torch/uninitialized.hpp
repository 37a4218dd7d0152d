// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// Returns a tensor whose elements are not set. On the CPU it bypasses the dispatcher, which takes
/// as long as the loss of a few pairs. From 4 MiB on it asks for huge pages, since mapping small
/// ones takes six times as long, and longer than computing a gradient that is written to them.
at::Tensor uninitialized(at::IntArrayRef sizes, at::ScalarType type,
                         const at::Device& device = at::kCPU);

}  // namespace sp2dpo
