// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "controls.hpp"
#include "output_columns.hpp"
#include <ATen/ATen.h>

#include <sp2dpo/torch/loss_output.hpp>

namespace sp2dpo {

using at::Tensor;

Tensor LossOutput::losses() const {
  return record_.columns.select(0, loss_column).to(record_.dtype);
}
Tensor LossOutput::chosen_logps() const {
  return record_.policy.chosen.detach();
}
Tensor LossOutput::rejected_logps() const {
  return record_.policy.rejected.detach();
}
Tensor LossOutput::chosen_rewards() const {
  return record_.columns.select(0, chosen_reward_column).to(record_.dtype);
}
Tensor LossOutput::rejected_rewards() const {
  return record_.columns.select(0, rejected_reward_column).to(record_.dtype);
}
Tensor LossOutput::log_ratios() const {
  return record_.columns.select(0, delta_column).to(record_.dtype);
}

std::int64_t LossOutput::valid_pairs() const {
  return record_.counted.defined() ? record_.counted.sum().item<std::int64_t>()
                                   : record_.columns.size(1);
}

std::map<std::string, double> LossOutput::metrics() const {
  // Copies of tensors that are not on the CPU.
  const auto on_cpu = [](const PerPair& control) {
    return control.tensor.defined() ? PerPair(control.tensor.cpu()) : control;
  };
  const Tensor columns = record_.columns.cpu();
  const LogProbs policy{record_.policy.chosen.cpu(), record_.policy.rejected.cpu()};
  const PerPair beta_control = on_cpu(record_.controls.beta);
  const PerPair margin_control = on_cpu(record_.controls.margin);

  const auto data = [&](OutputColumn column) {
    return columns.data_ptr<double>() + column * columns.size(1);
  };
  const double* const chosen = data(chosen_reward_column);
  const double* const rejected = data(rejected_reward_column);
  const double* const delta = data(delta_column);
  const PairValues chosen_logp = values_of(policy.chosen);
  const PairValues rejected_logp = values_of(policy.rejected);
  const PairValues beta = values_of(beta_control);
  const PairValues margin = values_of(margin_control);
  const bool* const counted =
      record_.counted.defined() ? record_.counted.data_ptr<bool>() : nullptr;

  struct {
    double chosen, rejected, accuracy, margin, chosen_logp, rejected_logp, delta, beta, saturated;
  } sum{};
  double pairs = 0;
  double min_beta = std::numeric_limits<double>::infinity();
  double max_beta = -min_beta;
  const double saturated = std::log(19.0);  // sigmoid(−z) < 0.05 for z > log 19
  for (std::int64_t i = 0; i < columns.size(1); ++i) {
    if (counted != nullptr && !counted[i]) continue;
    const double b = beta[i];
    ++pairs;
    min_beta = std::min(min_beta, b);
    max_beta = std::max(max_beta, b);
    sum.chosen += chosen[i];
    sum.rejected += rejected[i];
    sum.accuracy += chosen[i] > rejected[i] ? 1 : 0;
    sum.margin += chosen[i] - rejected[i];
    sum.chosen_logp += chosen_logp[i];
    sum.rejected_logp += rejected_logp[i];
    sum.delta += delta[i];
    sum.beta += b;
    sum.saturated += b * delta[i] - margin[i] > saturated ? 1 : 0;
  }
  if (pairs == 0) return {};  // the mean over no pair is no number
  std::map<std::string, double> result{{"beta/max", max_beta},
                                       {"beta/mean", sum.beta / pairs},
                                       {"beta/min", min_beta},
                                       {"logps/chosen", sum.chosen_logp / pairs},
                                       {"logps/rejected", sum.rejected_logp / pairs},
                                       {"logratios/margin", sum.delta / pairs},
                                       {"loss/saturated_frac", sum.saturated / pairs},
                                       {"rewards/accuracies", sum.accuracy / pairs},
                                       {"rewards/chosen", sum.chosen / pairs},
                                       {"rewards/margins", sum.margin / pairs},
                                       {"rewards/rejected", sum.rejected / pairs}};
  if (record_.nll.defined()) result["nll_loss"] = record_.nll.item<double>();
  if (record_.logits_mean) {
    result["logits/chosen"] = (*record_.logits_mean)[0];
    result["logits/rejected"] = (*record_.logits_mean)[1];
  }
  return result;
}

void LossOutput::check() const {
  const auto on_cpu = [](const PerPair& control) {
    return control.tensor.defined() ? PerPair(control.tensor.cpu()) : control;
  };
  const Controls& given = record_.controls;
  check_controls({on_cpu(given.beta), on_cpu(given.margin), on_cpu(given.weight)},
                 record_.columns.size(1), at::kCPU);
  if (!record_.bad_row.defined()) return;
  const auto bad_row = record_.bad_row.item<std::int64_t>();
  TORCH_CHECK(bad_row < 0, "sp2dpo::Loss: the label of row ", bad_row,
              " is outside the vocabulary and is not ignore_index");
}

}  // namespace sp2dpo
