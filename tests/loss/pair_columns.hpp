// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/loss/pair_values.hpp>

/// Columns of float64 numbers, one per pair, as inputs and outputs of a loss.
namespace sp2dpo::test {

using Column = std::vector<double>;

inline PairValues view(const Column& column) {
  return {column.data(), DType::float64};
}
inline PairSink sink(Column& column) {
  return {column.data(), DType::float64};
}

/// Every input of PairInputs with its name.
inline const std::array<std::pair<PairValues PairInputs::*, std::string>, 7> pair_inputs{{
    {&PairInputs::policy_chosen, "policy_chosen"},
    {&PairInputs::policy_rejected, "policy_rejected"},
    {&PairInputs::reference_chosen, "reference_chosen"},
    {&PairInputs::reference_rejected, "reference_rejected"},
    {&PairInputs::beta, "beta"},
    {&PairInputs::margin, "margin"},
    {&PairInputs::weight, "weight"},
}};

}  // namespace sp2dpo::test
