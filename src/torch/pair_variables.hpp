// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "fields.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo {

/// One T for each tensor that a loss of log-probabilities is differentiable by, in the order of the
/// table's gradient columns.
template <class T>
struct PerPairVariable {
  T chosen{}, rejected{};  ///< the policy's
  T beta{}, margin{};

  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.chosen, &self.rejected, &self.beta, &self.margin};
  }
  [[nodiscard]] auto all() { return members(*this); }
  [[nodiscard]] auto all() const { return members(*this); }
};

/// beta and margin are undefined where they are numbers.
using PairVariables = PerPairVariable<at::Tensor>;
/// Which of the variables need a gradient.
using PairNeeds = PerPairVariable<bool>;

/// The gradient columns times `upstream`, of the variables' types, for those that `needs` names; by
/// libtorch's own operations, on any device.
inline PairVariables scaled_gradients(const at::Tensor& columns, const at::Tensor& upstream,
                                      const PairVariables& variables, const PairNeeds& needs) {
  const at::Tensor scaled = columns.narrow(0, first_gradient, gradient_count) * upstream;
  PairVariables result;
  for (std::size_t i = 0; i < gradient_count; ++i)
    if (*needs.all()[i])
      *result.all()[i] =
          scaled.select(0, static_cast<std::int64_t>(i)).to(variables.all()[i]->scalar_type());
  return result;
}

}  // namespace sp2dpo
