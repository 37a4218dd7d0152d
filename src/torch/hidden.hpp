// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "sequences.hpp"
#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// Log-probabilities of the answers under a reference given as hidden states: float64 [2, P]. The
/// rows are those of `policy`.
at::Tensor hidden_answers(const ReferenceHidden& reference, const at::Tensor& policy,
                          const LabelledPairs& pairs, bool average,
                          const std::optional<std::int64_t>& vocab_size,
                          const std::optional<std::int64_t>& workspace_bytes);

/// Which gradients are wanted: of hidden, the head's weight, its bias, beta and margin.
using HiddenNeeds = std::array<bool, 5>;

/// A loss of hidden states and the gradients of it as it is returned.
struct HiddenParts {
  at::Tensor loss;
  at::Tensor hidden;                  ///< as hidden; undefined where it is not wanted
  at::Tensor head_weight, head_bias;  ///< in the type that HeadGradient says
  at::Tensor beta, margin;            ///< float64 [P]
  detail::PairRecord record{};        ///< only for whom it is made by hidden_forward
};

/// The element type that the gradients of the head's weight and bias end in; sums over chunks are
/// in the exact one.
enum class HeadGradient : std::uint8_t {
  exact,   ///< float32, or float64 for float64 input
  rounded  ///< the head's own
};

HiddenParts hidden_forward(const AnyObjective& objective, const LossOptions& options,
                           const at::Tensor& hidden, const at::Tensor& head_weight,
                           const at::Tensor& head_bias, const at::Tensor& labels,
                           const Reference& reference, const Controls& controls,
                           const HiddenOptions& how, const HiddenNeeds& needs,
                           HeadGradient head_gradient);

/// What a loss of hidden states is differentiable by; all but the first two may be undefined.
struct HiddenVariables {
  const at::Tensor &hidden, &head_weight, &head_bias, &beta, &margin;
};

/// The loss that `forward` makes, with the gradients that come with it.
HiddenParts with_gradient(const HiddenVariables& variables, const HiddenNeeds& needs,
                          Reduction reduction, const std::function<HiddenParts()>& forward);

/// Which of the variables ask for a gradient.
HiddenNeeds needs_of(const HiddenVariables& variables);

}  // namespace sp2dpo
