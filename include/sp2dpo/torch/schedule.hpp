// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include <ATen/core/Tensor.h>

#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {

/// Returns the betas of a batch, joined by pair id: [ids] on the CPU, in the order of `ids`. In
/// float64, the default, a loss computes with the file's own numbers; float32 rounds them once.
/// Throws InvalidArgument, naming the id, for one that the schedule lacks and for a duplicate, and
/// for any other type.
[[nodiscard]] at::Tensor beta_tensor(const Schedule& schedule, std::span<const std::string> ids,
                                     at::ScalarType dtype = at::kDouble);

/// Returns the pairs' weights likewise. Also throws InvalidArgument if the schedule has no weights.
[[nodiscard]] at::Tensor weight_tensor(const Schedule& schedule, std::span<const std::string> ids,
                                       at::ScalarType dtype = at::kDouble);

}  // namespace sp2dpo
