// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <utility>

#include "on_cuda.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// A call, with all that its derivatives need; kept by autograd until the graph is gone.
struct LogProbsCall : torch::CustomClassHolder {
  LogProbsCall(const AnyObjective& objective_, const LossOptions& options_, const LogProbs& policy,
               const LogProbs& reference_, const Controls& controls)
      : objective(objective_),
        options(options_),
        reference(reference_),
        beta(controls.beta.number),
        margin(controls.margin.number),
        weight(controls.weight),
        pairs(policy.chosen.numel()),
        device(policy.chosen.device()) {}

  /// The pair loop's inputs; `variables` are policy.chosen, policy.rejected, beta and margin, the last
  /// two undefined where they are numbers.
  [[nodiscard]] PairInputs inputs(const std::array<Tensor, 4>& variables) const {
    const auto or_number = [](const Tensor& tensor, double number) {
      return tensor.defined() ? values_of(tensor) : PairValues(number);
    };
    return {.policy_chosen = values_of(variables[0]),
            .policy_rejected = values_of(variables[1]),
            .reference_chosen = values_of(reference.chosen),
            .reference_rejected = values_of(reference.rejected),
            .beta = or_number(variables[2], beta),
            .margin = or_number(variables[3], margin),
            .weight = values_of(weight)};
  }

  /// Runs the pair loop where the tensors are. Returns Σ weight · value / the divisor.
  Tensor run(const std::array<Tensor, 4>& variables, PairOutputs& outputs) const {
    outputs.gradient_scale = 1 / divisor(options, pairs);
    const PairInputs in = inputs(variables);
    const Tensor total = at::empty({}, at::TensorOptions(at::kDouble).device(device));
    if (device.is_cpu())
      *total.data_ptr<double>() =
          outputs.gradient_scale * objective.pair_loss(in, outputs, 0, pairs);
    else
      on_cuda::pair_loss(objective, in, outputs, pairs, total);
    return total;
  }

  AnyObjective objective;
  LossOptions options;
  LogProbs reference;
  double beta, margin;  // where they are numbers
  PerPair weight;
  std::int64_t pairs;
  at::Device device;
};

using Call = c10::intrusive_ptr<LogProbsCall>;
using LogProbsNeeds =
    std::array<bool, 4>;  // gradients of policy.chosen, policy.rejected, beta, margin

std::array<Tensor, 4> variables_of(const Tensor& chosen, const Tensor& rejected,
                                   const c10::optional<Tensor>& beta,
                                   const c10::optional<Tensor>& margin) {
  return {chosen, rejected, beta.value_or(Tensor()), margin.value_or(Tensor())};
}

/// Row after row of `rows` to the inputs that need them, in their own types.
tensor_list spread(const Tensor& rows, const LogProbsNeeds& needs,
                   const std::array<Tensor, 4>& variables) {
  tensor_list result(needs.size());
  std::int64_t row = 0;
  for (std::size_t i = 0; i < needs.size(); ++i)
    if (needs[i]) result[i] = rows.select(0, row++).to(variables[i].scalar_type());
  return result;
}

void keep(AutogradContext* ctx, const Call& call, const LogProbsNeeds& needs, tensor_list tensors) {
  ctx->save_for_backward(std::move(tensors));
  ctx->saved_data["call"] = c10::IValue::make_capsule(call);
  std::int64_t bits = 0;
  for (std::size_t i = 0; i < needs.size(); ++i) bits |= static_cast<std::int64_t>(needs[i]) << i;
  ctx->saved_data["needs"] = bits;
}

std::pair<Call, LogProbsNeeds> kept(AutogradContext* ctx) {
  const std::int64_t bits = ctx->saved_data["needs"].toInt();
  LogProbsNeeds needs{};
  for (std::size_t i = 0; i < needs.size(); ++i) needs[i] = (bits >> i & 1) != 0;
  return {c10::static_intrusive_pointer_cast<LogProbsCall>(ctx->saved_data["call"].toCapsule()),
          needs};
}

/// The gradient of the loss, as a function that has one itself.
struct LogProbsSlope : torch::autograd::Function<LogProbsSlope> {
  static tensor_list forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const Tensor& upstream, const LogProbsNeeds& needs, const Call& call) {
    const auto variables = variables_of(chosen, rejected, beta, margin);
    PairRows64 pairs(call->pairs, needs, call->device);
    call->run(variables, pairs.outputs);
    const Tensor rows = pairs.rows.narrow(0, gradients, pairs.rows.size(0) - gradients);
    keep(ctx, call, needs, {chosen, rejected, variables[2], variables[3], upstream});
    tensor_list result;
    for (const Tensor& slope : spread(rows * upstream, needs, variables))
      if (slope.defined()) result.push_back(slope);
    return result;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list direction) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "sp2dpo::Loss: third derivatives are not available");
    const auto [call, needs] = kept(ctx);
    TORCH_CHECK(
        call->objective.twice_differentiable(), "sp2dpo::Loss: the objective ",
        call->objective.name(),
        " has no second derivative: make its call operator a template of the number's type");
    TORCH_CHECK(call->device.is_cpu(), "sp2dpo::Loss: second derivatives are for the CPU only");
    const auto saved = ctx->get_saved_variables();
    const std::array variables{saved[0], saved[1], saved[2], saved[3]};
    const Tensor upstream = saved[4].to(at::kDouble);

    PairDirection along;
    const std::array parts{&along.policy_chosen, &along.policy_rejected, &along.beta,
                           &along.margin};
    std::size_t next = 0;
    for (std::size_t i = 0; i < needs.size(); ++i) {
      if (!needs[i]) continue;
      if (direction[next].defined()) *parts[i] = values_of(direction[next]);
      ++next;
    }
    PairRows64 pairs(call->pairs, needs, call->device);
    pairs.outputs.gradient_scale = 1 / divisor(call->options, call->pairs);
    call->objective.pair_curvature(call->inputs(variables), along, pairs.outputs, 0, call->pairs);
    const Tensor rows = pairs.rows.narrow(0, gradients, pairs.rows.size(0) - gradients);
    tensor_list gradient = spread(rows * upstream, needs, variables);
    const Tensor by_pair = pairs.rows.select(0, loss_row) * pairs.outputs.gradient_scale;
    gradient.push_back((upstream.dim() == 0 ? by_pair.sum() : by_pair).to(saved[4].scalar_type()));
    gradient.resize(7);
    return gradient;
  }
};

struct LogProbsLoss : torch::autograd::Function<LogProbsLoss> {
  static tensor_list forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const LogProbsNeeds& needs, const Call& call) {
    const auto variables = variables_of(chosen, rejected, beta, margin);
    PairRows64 pairs(call->pairs, needs, call->device);
    const Tensor total = call->run(variables, pairs.outputs);
    const Tensor& rows = pairs.rows;
    keep(ctx, call, needs,
         {chosen, rejected, variables[2], variables[3],
          rows.narrow(0, gradients, rows.size(0) - gradients)});
    ctx->mark_non_differentiable({rows});
    return {reduced(call->options, rows, total, loss_type({chosen, rejected})), rows};
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    const auto [call, needs] = kept(ctx);
    const auto saved = ctx->get_saved_variables();
    const std::array variables{saved[0], saved[1], saved[2], saved[3]};
    tensor_list gradient(needs.size());
    if (c10::GradMode::is_enabled()) {
      const auto slopes = LogProbsSlope::apply(saved[0], saved[1], given(saved[2]), given(saved[3]),
                                               upstream[0], needs, call);
      std::size_t next = 0;
      for (std::size_t i = 0; i < needs.size(); ++i)
        if (needs[i]) gradient[i] = slopes[next++];
    } else {
      gradient = spread(saved[4] * upstream[0], needs, variables);
    }
    gradient.resize(6);
    return gradient;
  }
};

void check(const AnyObjective& objective, const LossOptions& options, const LogProbs& policy,
           const LogProbs& reference, const Controls& controls) {
  const Tensor& first = policy.chosen;
  check_log_probs("policy.chosen", first, first);
  check_log_probs("policy.rejected", policy.rejected, first);
  check_log_probs("reference.chosen", reference.chosen, first);
  check_log_probs("reference.rejected", reference.rejected, first);
  TORCH_CHECK(policy.averaged == reference.averaged,
              "sp2dpo::Loss: the log-probabilities of the policy are ",
              policy.averaged ? "means" : "sums", " over tokens, those of the reference ",
              reference.averaged ? "means" : "sums");
  check_controls(controls, first.size(0), first.device());
  check_objective(objective, options, controls);
}

}  // namespace

namespace detail {

LossOutput loss_of_log_probs(const AnyObjective& objective, const LossOptions& options,
                             const LogProbs& policy, const LogProbs& reference,
                             const Controls& controls) {
  check(objective, options, policy, reference, controls);
  const Tensor& beta = controls.beta.tensor;
  const Tensor& margin = controls.margin.tensor;
  const LogProbsNeeds needs{asks_for_gradient(policy.chosen), asks_for_gradient(policy.rejected),
                            asks_for_gradient(beta), asks_for_gradient(margin)};
  const auto call =
      c10::make_intrusive<LogProbsCall>(objective, options, policy, reference, controls);
  auto result =
      LogProbsLoss::apply(policy.chosen, policy.rejected, given(beta), given(margin), needs, call);
  const auto dtype = result[0].scalar_type();
  return {std::move(result[0]), record_of(std::move(result[1]), policy, controls, dtype)};
}

LogProbsGradient value_and_grad_of_log_probs(const AnyObjective& objective,
                                             const LossOptions& options, const LogProbs& policy,
                                             const LogProbs& reference, const Controls& controls) {
  check(objective, options, policy, reference, controls);
  const LogProbsCall call(objective, options, policy, reference, controls);
  PairRows64 pairs(call.pairs, {}, call.device);
  LogProbsGradient result{
      {{}, {}}, at::empty_like(policy.chosen.detach()), at::empty_like(policy.rejected.detach())};
  pairs.outputs.d_policy_chosen = sink_of(result.chosen);
  pairs.outputs.d_policy_rejected = sink_of(result.rejected);
  const Tensor total =
      call.run({policy.chosen, policy.rejected, controls.beta.tensor, controls.margin.tensor},
               pairs.outputs);
  const auto dtype = loss_type({policy.chosen, policy.rejected});
  result.output = {reduced(options, pairs.rows, total, dtype),
                   record_of(pairs.rows, policy, controls, dtype)};
  return result;
}

}  // namespace detail
}  // namespace sp2dpo
