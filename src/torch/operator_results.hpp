// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "operator_arguments.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/torch/loss_output.hpp>

namespace sp2dpo::operators {

/// The first results of the losses of rows, each in memory of its own.
std::vector<Tensor> results_of(const Tensor& loss, const detail::PairRecord& record);

/// Results for meta tensors: sizes and types without values.
Tensor unmade(const Tensor& like, at::ScalarType dtype);
/// Of the loss; a wrong objective or reduction is refused while tracing already.
Tensor unmade_loss(const Arguments& arguments, at::ScalarType dtype);
/// As results_of.
std::vector<Tensor> unmade_results(const Arguments& arguments, at::ScalarType dtype);

}  // namespace sp2dpo::operators
