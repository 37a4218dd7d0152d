// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include <ATen/core/Tensor.h>

#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {

/// The betas of a batch, joined by pair id: float32 [ids] on the CPU, in the order of `ids`. Throws
/// InvalidArgument naming an id that the schedule lacks or that the batch holds twice.
[[nodiscard]] at::Tensor beta_tensor(const Schedule& schedule, std::span<const std::string> ids);

/// The same of the pairs' weights; throws InvalidArgument where the schedule has none.
[[nodiscard]] at::Tensor weight_tensor(const Schedule& schedule, std::span<const std::string> ids);

}  // namespace sp2dpo
