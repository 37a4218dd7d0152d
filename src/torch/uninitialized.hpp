// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// A tensor whose elements are not set. On the CPU it is made past the dispatcher, which takes as
/// long as the loss of a few pairs; and from 4 MiB on it asks for huge pages, since to have small
/// ones mapped costs six times as much, and more than a gradient that is written to them.
at::Tensor uninitialized(at::IntArrayRef sizes, at::ScalarType type,
                         const at::Device& device = at::kCPU);

}  // namespace sp2dpo
