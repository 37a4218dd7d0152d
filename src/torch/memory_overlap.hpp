// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// Throws c10::Error unless each element of `tensor`, which a call is about to write, has memory of
/// its own. Messages call the tensor `name`.
void check_written_once(const char* name, const at::Tensor& tensor);

/// Throws c10::Error if `tensor`, which a call is about to write, may share memory with `other`,
/// which it reads.
void check_apart(const char* name, const at::Tensor& tensor, const char* other_name,
                 const at::Tensor& other);

/// Raises the version of a tensor that was written by its address, so that autograd notices.
void mark_written(const at::Tensor& tensor);

}  // namespace sp2dpo
