// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "dtypes.hpp"
#include "on_cuda.hpp"
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sp2dpo/torch/loss.hpp>
#include <sp2dpo/torch/schedule.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// The rows of PairRecord::rows. Those from `gradients` on are there only while backward needs them.
enum Row : std::int64_t { loss_row, chosen_reward_row, rejected_reward_row, delta_row, gradients };

PairValues values_of(const Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.stride(0)};
}

PairValues values_of(const PerPair& control) {
  return control.tensor.defined() ? values_of(control.tensor) : PairValues(control.number);
}

void check_log_probs(const char* name, const Tensor& tensor, const Tensor& first) {
  TORCH_CHECK(tensor.defined(), "sp2dpo::Loss: ", name, " is undefined; expected a tensor [P]");
  TORCH_CHECK(is_floating(tensor), "sp2dpo::Loss: ", name,
              " must be float16, bfloat16, float32 or float64, not ", tensor.scalar_type());
  TORCH_CHECK(tensor.dim() == 1, "sp2dpo::Loss: ", name,
              " must have the shape [P], one log-probability a pair, not ", tensor.sizes());
  TORCH_CHECK(tensor.numel() > 0, "sp2dpo::Loss: ", name, " holds no pair");
  TORCH_CHECK(tensor.sizes() == first.sizes(), "sp2dpo::Loss: ", name, " must have the shape ",
              first.sizes(), " of policy.chosen, not ", tensor.sizes());
  TORCH_CHECK(tensor.device() == first.device(), "sp2dpo::Loss: ", name, " must be on ",
              first.device(), " as policy.chosen is, not on ", tensor.device());
}

/// Shape, type and device; on the CPU the values too (`low` is excluded where `open`).
void check_control(const char* name, const PerPair& control, const Tensor& first, double low,
                   bool open) {
  const auto check_value = [&](double value, std::int64_t pair) {
    if (std::isfinite(value) && (open ? value > low : value >= low)) return;
    TORCH_CHECK(false, "sp2dpo::Loss: ", name, " must be finite",
                low == 0 ? (open ? " and > 0" : " and >= 0") : "", ", not ", value,
                pair < 0 ? "" : " (pair ", pair < 0 ? "" : std::to_string(pair),
                pair < 0 ? "" : " of the batch)");
  };
  const Tensor& tensor = control.tensor;
  if (!tensor.defined()) return check_value(control.number, -1);
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble,
              "sp2dpo::Loss: ", name, " must be float32 or float64, not ", tensor.scalar_type());
  TORCH_CHECK(tensor.sizes() == first.sizes(), "sp2dpo::Loss: ", name, " must have the shape ",
              first.sizes(), " (one number a pair) or be a plain number, not ", tensor.sizes());
  TORCH_CHECK(tensor.device() == first.device(), "sp2dpo::Loss: ", name, " must be on ",
              first.device(), " as policy.chosen is, not on ", tensor.device());
  if (!tensor.device().is_cpu()) return;
  const PairValues values = values_of(tensor);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) check_value(values[i], i);
}

/// All that one evaluation needs beside the tensors that may ask for a gradient.
struct Call {
  const AnyObjective& objective;
  const LossOptions& options;
  const LogProbs& reference;
  const Controls& controls;
  std::array<bool, 4> needs;  ///< a gradient of policy.chosen, policy.rejected, beta, margin
};

/// Runs the pair loop where the tensors are. Fills `rows`: the gradients that Call::needs asks for
/// stand from row `gradients` on, in that order. Returns Σ weight · value / divisor.
Tensor run(const Call& call, const LogProbs& policy, const Tensor& rows, double divisor) {
  const auto row = [&](std::int64_t number) {
    const auto bytes = number * rows.stride(0) * static_cast<std::int64_t>(rows.element_size());
    return PairSink(static_cast<char*>(rows.data_ptr()) + bytes, dtype_of(rows));
  };
  PairOutputs out{.loss = row(loss_row),
                  .chosen_reward = row(chosen_reward_row),
                  .rejected_reward = row(rejected_reward_row),
                  .delta = row(delta_row),
                  .gradient_scale = 1 / divisor};
  const std::array sinks{&out.d_policy_chosen, &out.d_policy_rejected, &out.d_beta, &out.d_margin};
  std::int64_t next = gradients;
  for (std::size_t i = 0; i < sinks.size(); ++i)
    if (call.needs[i]) *sinks[i] = row(next++);

  const PairInputs in{.policy_chosen = values_of(policy.chosen),
                      .policy_rejected = values_of(policy.rejected),
                      .reference_chosen = values_of(call.reference.chosen),
                      .reference_rejected = values_of(call.reference.rejected),
                      .beta = values_of(call.controls.beta),
                      .margin = values_of(call.controls.margin),
                      .weight = values_of(call.controls.weight)};
  const Tensor total = at::empty({}, rows.options());
  if (rows.is_cpu())
    detail::store(total.data_ptr(), dtype_of(total), 0,
                  call.objective.pair_loss(in, out, 0, rows.size(1)) / divisor);
  else
    on_cuda::pair_loss(call.objective, in, out, rows.size(1), total);
  return total;
}

struct PairLoss : torch::autograd::Function<PairLoss> {
  /// The controls are optional to autograd, which cannot take an undefined tensor.
  static tensor_list forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const Call& call) {
    const bool wide = chosen.scalar_type() == at::kDouble || rejected.scalar_type() == at::kDouble;
    const auto options = chosen.options().dtype(wide ? at::kDouble : at::kFloat);
    const auto pairs = chosen.numel();
    const Tensor rows =
        at::empty({gradients + std::ranges::count(call.needs, true), pairs}, options);

    const double divisor = call.options.reduction == Reduction::mean
                               ? call.options.normalizer.value_or(static_cast<double>(pairs))
                               : 1.0;
    Tensor loss = run(call, {chosen, rejected}, rows, divisor);
    if (call.options.reduction == Reduction::none) loss = rows.select(0, loss_row).clone();
    if (rows.size(0) > gradients) {
      ctx->save_for_backward({rows.narrow(0, gradients, rows.size(0) - gradients)});
      const std::array<c10::optional<Tensor>, 4> inputs{chosen, rejected, beta, margin};
      std::vector<std::int64_t> types;  // of the inputs that need a gradient, −1 for the others
      for (std::size_t i = 0; i < inputs.size(); ++i)
        types.push_back(call.needs[i] ? static_cast<std::int64_t>(inputs[i]->scalar_type()) : -1);
      ctx->saved_data["types"] = types;
    }
    ctx->mark_non_differentiable({rows});
    return {loss, rows};
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is not available");
    const Tensor scaled = ctx->get_saved_variables()[0] * upstream[0];
    tensor_list gradient(5);
    std::int64_t row = 0;
    std::size_t input = 0;
    for (const std::int64_t type : ctx->saved_data["types"].toIntVector()) {
      if (type >= 0)
        gradient[input] = scaled.select(0, row++).to(static_cast<at::ScalarType>(type));
      ++input;
    }
    return gradient;
  }
};

/// Mean over the batch, of numbers on the CPU.
template <class F>
double mean(std::int64_t pairs, F&& value) {
  double sum = 0;
  for (std::int64_t i = 0; i < pairs; ++i) sum += value(i);
  return sum / static_cast<double>(pairs);
}

PerPair detached(const PerPair& control) {
  return control.tensor.defined() ? PerPair(control.tensor.detach()) : control;
}

}  // namespace

namespace detail {

LossOutput loss_of_log_probs(const AnyObjective& objective, const LossOptions& options,
                             const LogProbs& policy, const LogProbs& reference,
                             const Controls& controls) {
  check_log_probs("policy.chosen", policy.chosen, policy.chosen);
  check_log_probs("policy.rejected", policy.rejected, policy.chosen);
  check_log_probs("reference.chosen", reference.chosen, policy.chosen);
  check_log_probs("reference.rejected", reference.rejected, policy.chosen);
  constexpr double anything = -std::numeric_limits<double>::infinity();
  check_control("beta", controls.beta, policy.chosen, 0, true);
  check_control("margin", controls.margin, policy.chosen, anything, true);
  check_control("weight", controls.weight, policy.chosen, 0, false);
  TORCH_CHECK(!controls.weight.tensor.defined() || !controls.weight.tensor.requires_grad(),
              "sp2dpo::Loss: weight is a constant, but asks for a gradient; detach() it");
  const double normalizer = options.normalizer.value_or(1);
  TORCH_CHECK(std::isfinite(normalizer) && normalizer > 0,
              "sp2dpo::Loss: normalizer must be finite and > 0, not ", normalizer);

  const auto needs_gradient = [](const Tensor& tensor) {
    return c10::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
  };
  const auto given = [](const PerPair& control) {
    return control.tensor.defined() ? c10::optional<Tensor>(control.tensor) : c10::nullopt;
  };
  const Call call{objective,
                  options,
                  reference,
                  controls,
                  {needs_gradient(policy.chosen), needs_gradient(policy.rejected),
                   needs_gradient(controls.beta.tensor), needs_gradient(controls.margin.tensor)}};
  auto result = PairLoss::apply(policy.chosen, policy.rejected, given(controls.beta),
                                given(controls.margin), call);
  return {std::move(result[0]),
          {std::move(result[1]),
           {policy.chosen.detach(), policy.rejected.detach()},
           detached(controls.beta),
           detached(controls.margin)}};
}

}  // namespace detail

Tensor LossOutput::losses() const {
  return record_.rows.select(0, loss_row);
}
Tensor LossOutput::chosen_logps() const {
  return record_.policy.chosen;
}
Tensor LossOutput::rejected_logps() const {
  return record_.policy.rejected;
}
Tensor LossOutput::chosen_rewards() const {
  return record_.rows.select(0, chosen_reward_row);
}
Tensor LossOutput::rejected_rewards() const {
  return record_.rows.select(0, rejected_reward_row);
}
Tensor LossOutput::log_ratios() const {
  return record_.rows.select(0, delta_row);
}

std::map<std::string, double> LossOutput::metrics() const {
  // Moved once, where they are not on the CPU already.
  std::vector<Tensor> kept;
  const auto read = [&](const Tensor& tensor) {
    kept.push_back(tensor.cpu());
    return values_of(kept.back());
  };
  const auto read_control = [&](const PerPair& control) {
    return control.tensor.defined() ? read(control.tensor) : PairValues(control.number);
  };
  const PairValues chosen = read(chosen_rewards());
  const PairValues rejected = read(rejected_rewards());
  const PairValues delta = read(log_ratios());
  const PairValues chosen_logp = read(chosen_logps());
  const PairValues rejected_logp = read(rejected_logps());
  const PairValues beta = read_control(record_.beta);
  const PairValues margin = read_control(record_.margin);
  const std::int64_t pairs = record_.rows.size(1);

  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::int64_t i = 0; i < pairs; ++i) {
    least = std::min(least, beta[i]);
    most = std::max(most, beta[i]);
  }
  // sigmoid(−z) < 0.05 where z > log 19.
  const double saturated = std::log(19.0);
  return {{"rewards/chosen", mean(pairs, [&](auto i) { return chosen[i]; })},
          {"rewards/rejected", mean(pairs, [&](auto i) { return rejected[i]; })},
          {"rewards/accuracies",
           mean(pairs, [&](auto i) { return chosen[i] > rejected[i] ? 1.0 : 0.0; })},
          {"rewards/margins", mean(pairs, [&](auto i) { return chosen[i] - rejected[i]; })},
          {"logps/chosen", mean(pairs, [&](auto i) { return chosen_logp[i]; })},
          {"logps/rejected", mean(pairs, [&](auto i) { return rejected_logp[i]; })},
          {"logratios/margin", mean(pairs, [&](auto i) { return delta[i]; })},
          {"beta/mean", mean(pairs, [&](auto i) { return beta[i]; })},
          {"beta/min", least},
          {"beta/max", most},
          {"loss/saturated_frac", mean(pairs, [&](auto i) {
             return beta[i] * delta[i] - margin[i] > saturated ? 1.0 : 0.0;
           })}};
}

Tensor beta_tensor(const Schedule& schedule, std::span<const std::string> ids) {
  const std::vector<double> betas = schedule.betas(ids);
  const Tensor tensor = at::empty({static_cast<std::int64_t>(betas.size())}, at::kFloat);
  std::ranges::transform(betas, tensor.data_ptr<float>(),
                         [](double beta) { return static_cast<float>(beta); });
  return tensor;
}

}  // namespace sp2dpo
