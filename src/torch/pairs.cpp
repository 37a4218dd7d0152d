// SPDX-License-Identifier: Apache-2.0
#include "pairs.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "uninitialized.hpp"
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace sp2dpo {

using at::Tensor;

void check_objective(const AnyObjective& objective, const LossOptions& options,
                     const Controls& controls) {
  const std::string complaint = objective.complaint();
  TORCH_CHECK(complaint.empty(), "sp2dpo::Loss: ", complaint);
  TORCH_CHECK(objective.takes_margin() ||
                  (!controls.margin.tensor.defined() && controls.margin.number == 0),
              "sp2dpo::Loss: ", objective.name(),
              " takes no margin, since it is not a function of z = beta · delta − margin");
  for (const auto& [name, value] : {std::pair{"normalizer", options.normalizer},
                                    std::pair{"nll_normalizer", options.nll_normalizer}})
    TORCH_CHECK(!value || (std::isfinite(*value) && *value > 0), "sp2dpo::Loss: ", name,
                " must be finite and > 0, not ", *value);
  TORCH_CHECK(std::isfinite(options.nll_coefficient) && options.nll_coefficient >= 0,
              "sp2dpo::Loss: nll_coefficient must be finite and >= 0, not ",
              options.nll_coefficient);
  TORCH_CHECK(
      options.nll_coefficient == 0 || options.reduction != Reduction::none,
      "sp2dpo::Loss: nll_coefficient needs the reduction mean or sum, not none, since the NLL "
      "term is one number for the batch");
}

double divisor(const LossOptions& options, std::int64_t valid_pairs) {
  // Without a pair that counts, the loss is 0 rather than 0 / 0.
  const auto pairs = static_cast<double>(std::max<std::int64_t>(valid_pairs, 1));
  return options.reduction == Reduction::mean ? options.normalizer.value_or(pairs) : 1.0;
}

PairTable::PairTable(std::int64_t pairs, const at::Device& device)
    : columns(uninitialized({column_count, pairs}, at::kDouble, device)) {
  const auto sink = [&](OutputColumn column) { return PairSink(data(column), DType::float64); };
  outputs = {.loss = sink(loss_column),
             .d_policy_chosen = sink(d_chosen_column),
             .d_policy_rejected = sink(d_rejected_column),
             .d_beta = sink(d_beta_column),
             .d_margin = sink(d_margin_column),
             .chosen_reward = sink(chosen_reward_column),
             .rejected_reward = sink(rejected_reward_column),
             .delta = sink(delta_column)};
}

detail::PairRecord record_of(Tensor columns, const LogProbs& policy, const Controls& controls,
                             at::ScalarType dtype) {
  return {.columns = std::move(columns),
          .policy = {policy.chosen.detach(), policy.rejected.detach(), policy.averaged},
          .controls = controls,
          .dtype = dtype};
}

Tensor reduced(const LossOptions& options, const Tensor& columns, const Tensor& total) {
  if (options.reduction != Reduction::none) return total;
  return columns.select(0, loss_column)
      .to(total.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace sp2dpo
