// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <sp2dpo/any_objective.hpp>

namespace sp2dpo::on_cuda {

/// The pair loop on total's device and its current stream; `total` (one number) becomes
/// out.gradient_scale · Σ weight · value. Throws c10::Error where this build has no CUDA.
void pair_loss(const AnyObjective& objective, const PairInputs& in, const PairOutputs& out,
               std::int64_t pairs, const at::Tensor& total);

}  // namespace sp2dpo::on_cuda
