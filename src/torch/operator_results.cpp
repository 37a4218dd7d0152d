// SPDX-License-Identifier: Apache-2.0
#include "operator_results.hpp"

#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {

Tensor column_of(const Tensor& columns, OutputColumn column, at::ScalarType dtype) {
  return columns.select(0, column).to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

SequenceResults results_of(const Tensor& loss, const detail::PairRecord& record) {
  return {loss, record.policy.chosen.clone(), record.policy.rejected.clone(),
          column_of(record.columns, chosen_reward_column, record.dtype),
          column_of(record.columns, rejected_reward_column, record.dtype)};
}

Tensor unmade(const Tensor& like, at::ScalarType dtype) {
  return at::empty_like(like, like.options().dtype(dtype), at::MemoryFormat::Contiguous);
}

Tensor unmade_loss(const Arguments& arguments, at::ScalarType dtype) {
  const Tensor beta = arguments.tensor("beta");
  (void)objective_of(arguments);
  return reduction_of(arguments) == Reduction::none ? unmade(beta, dtype)
                                                    : at::empty({}, beta.options().dtype(dtype));
}

SequenceResults unmade_results(const Arguments& arguments, at::ScalarType dtype) {
  const Tensor beta = arguments.tensor("beta");
  const auto by_pair = [&] { return unmade(beta, dtype); };
  return {unmade_loss(arguments, dtype), by_pair(), by_pair(), by_pair(), by_pair()};
}

}  // namespace sp2dpo::operators
