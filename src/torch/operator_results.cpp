// SPDX-License-Identifier: Apache-2.0
#include "operator_results.hpp"

#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {

std::vector<Tensor> results_of(const Tensor& loss, const detail::PairRecord& record) {
  const auto reward = [&](Row row) {
    return record.rows.select(0, row).to(record.dtype, /*non_blocking=*/false, /*copy=*/true);
  };
  return {loss, record.policy.chosen.clone(), record.policy.rejected.clone(),
          reward(chosen_reward_row), reward(rejected_reward_row)};
}

Tensor unmade(const Tensor& like, at::ScalarType dtype) {
  return at::empty_like(like, like.options().dtype(dtype), at::MemoryFormat::Contiguous);
}

Tensor unmade_loss(const Arguments& arguments, at::ScalarType dtype) {
  const Tensor beta = arguments.tensor("beta");
  (void)objective_of(arguments);  // refused while tracing already
  return reduction_of(arguments) == Reduction::none ? unmade(beta, dtype)
                                                    : at::empty({}, beta.options().dtype(dtype));
}

std::vector<Tensor> unmade_results(const Arguments& arguments, at::ScalarType dtype) {
  const Tensor beta = arguments.tensor("beta");
  std::vector<Tensor> results{unmade_loss(arguments, dtype)};
  for (int i = 0; i < 4; ++i) results.push_back(unmade(beta, dtype));
  return results;
}

}  // namespace sp2dpo::operators
