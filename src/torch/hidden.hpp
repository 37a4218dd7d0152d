// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "backend.hpp"
#include "sequences.hpp"
#include <ATen/core/Tensor.h>

namespace sp2dpo {

/// One T for each tensor that a loss of hidden states is differentiable by.
template <class T>
struct PerHiddenVariable {
  T hidden{}, head_weight{}, head_bias{}, beta{}, margin{};

  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.hidden, &self.head_weight, &self.head_bias, &self.beta, &self.margin};
  }
  [[nodiscard]] auto all() { return members(*this); }
  [[nodiscard]] auto all() const { return members(*this); }
};

/// All but the first two may be undefined.
using HiddenVariables = PerHiddenVariable<at::Tensor>;
/// Which of the variables need a gradient.
using HiddenNeeds = PerHiddenVariable<bool>;

/// Returns the type that the gradient of a variable of type `own` is kept in until backward scales
/// it: float32 for float16, in which the small numbers are lost that a loss scale would save.
inline at::ScalarType kept_type(at::ScalarType own) {
  return own == at::kHalf ? at::kFloat : own;
}

/// A loss of hidden states, and the gradients of it as it is returned: as HeadGradient says, and
/// float64 [P]; undefined where they are not needed.
struct HiddenParts {
  at::Tensor loss;
  HiddenVariables gradient{};
  detail::PairRecord record{};  ///< set by hidden_forward only
};

/// The element type that the gradients end in; sums over chunks are in the exact one.
enum class HeadGradient : std::uint8_t {
  exact,   ///< of the head float32, or float64 for float64 input; of hidden its own
  rounded  ///< of each its kept_type()
};

/// The loss and the gradients that are needed, without autograd.
HiddenParts hidden_forward(const AnyObjective& objective, const LossOptions& options,
                           const detail::HiddenArguments& arguments, const HiddenNeeds& needs,
                           HeadGradient head_gradient);

/// The loss that `forward` computes, with the gradients that come with it.
HiddenParts with_gradient(const HiddenVariables& variables, const HiddenNeeds& needs,
                          Reduction reduction, const std::function<HiddenParts()>& forward);

/// Which of the variables ask for a gradient.
HiddenNeeds needs_of(const HiddenVariables& variables);

}  // namespace sp2dpo
