// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "pairs.hpp"
#include <ATen/ATen.h>

#include <sp2dpo/torch/loss_output.hpp>

namespace sp2dpo {

using at::Tensor;

Tensor LossOutput::losses() const {
  return record_.rows.select(0, loss_row).to(record_.dtype);
}
Tensor LossOutput::chosen_logps() const {
  return record_.policy.chosen;
}
Tensor LossOutput::rejected_logps() const {
  return record_.policy.rejected;
}
Tensor LossOutput::chosen_rewards() const {
  return record_.rows.select(0, chosen_reward_row).to(record_.dtype);
}
Tensor LossOutput::rejected_rewards() const {
  return record_.rows.select(0, rejected_reward_row).to(record_.dtype);
}
Tensor LossOutput::log_ratios() const {
  return record_.rows.select(0, delta_row).to(record_.dtype);
}

std::int64_t LossOutput::valid_pairs() const {
  return record_.counted.defined() ? record_.counted.sum().item<std::int64_t>()
                                   : record_.rows.size(1);
}

std::map<std::string, double> LossOutput::metrics() const {
  std::vector<Tensor> kept;  // copies on the CPU, where the tensors are elsewhere
  const auto read = [&](const Tensor& tensor) {
    kept.push_back(tensor.cpu());
    return values_of(kept.back());
  };
  const auto read_control = [&](const PerPair& control) {
    return control.tensor.defined() ? read(control.tensor) : PairValues(control.number);
  };
  const Tensor rows = record_.rows.cpu();
  const auto row = [&](Row number) { return values_of(rows.select(0, number)); };
  const PairValues chosen = row(chosen_reward_row);
  const PairValues rejected = row(rejected_reward_row);
  const PairValues delta = row(delta_row);
  const PairValues chosen_logp = read(record_.policy.chosen);
  const PairValues rejected_logp = read(record_.policy.rejected);
  const PairValues beta = read_control(record_.controls.beta);
  const PairValues margin = read_control(record_.controls.margin);
  const bool* const counted =
      record_.counted.defined() ? record_.counted.data_ptr<bool>() : nullptr;

  const auto pairs = static_cast<double>(valid_pairs());
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (std::int64_t i = 0; i < rows.size(1); ++i) {
    if (counted != nullptr && !counted[i]) continue;
    least = std::min(least, beta[i]);
    most = std::max(most, beta[i]);
  }
  const auto mean = [&](auto&& value) {
    double sum = 0;
    for (std::int64_t i = 0; i < rows.size(1); ++i)
      if (counted == nullptr || counted[i]) sum += value(i);
    return sum / pairs;
  };
  const double saturated = std::log(19.0);  // sigmoid(−z) < 0.05 where z > log 19
  std::map<std::string, double> result{
      {"rewards/chosen", mean([&](auto i) { return chosen[i]; })},
      {"rewards/rejected", mean([&](auto i) { return rejected[i]; })},
      {"rewards/accuracies", mean([&](auto i) { return chosen[i] > rejected[i] ? 1.0 : 0.0; })},
      {"rewards/margins", mean([&](auto i) { return chosen[i] - rejected[i]; })},
      {"logps/chosen", mean([&](auto i) { return chosen_logp[i]; })},
      {"logps/rejected", mean([&](auto i) { return rejected_logp[i]; })},
      {"logratios/margin", mean([&](auto i) { return delta[i]; })},
      {"beta/mean", mean([&](auto i) { return beta[i]; })},
      {"beta/min", least},
      {"beta/max", most},
      {"loss/saturated_frac",
       mean([&](auto i) { return beta[i] * delta[i] - margin[i] > saturated ? 1.0 : 0.0; })}};
  if (record_.nll) result["nll_loss"] = *record_.nll;
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
                 record_.rows.size(1), at::kCPU);
}

}  // namespace sp2dpo
