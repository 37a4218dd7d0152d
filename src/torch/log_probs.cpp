// SPDX-License-Identifier: Apache-2.0
#include "log_probs.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "on_cuda.hpp"
#include "pairs.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;
using Variables = LogProbsStep::Variables;
using Step = c10::intrusive_ptr<LogProbsStep>;

/// A number for all pairs, or the pairs' own.
PairValues upstream_values(const Tensor& upstream) {
  return {upstream.data_ptr(), dtype_of(upstream), upstream.dim() == 0 ? 0 : upstream.stride(0)};
}

struct LogProbsCall final : LogProbsStep {
  LogProbsCall(const AnyObjective& objective_, const LossOptions& options_, const LogProbs& policy,
               const LogProbs& reference_, const Controls& controls)
      : objective(objective_),
        options(options_),
        reference(reference_),
        beta(controls.beta.number),
        margin(controls.margin.number),
        weight(controls.weight),
        pairs(policy.chosen.defined() ? policy.chosen.numel() : 0),
        dtype(at::kFloat) {
    const Tensor& first = policy.chosen;
    check_log_probs("policy.chosen", first, first);
    check_log_probs("policy.rejected", policy.rejected, first);
    check_log_probs("reference.chosen", reference.chosen, first);
    check_log_probs("reference.rejected", reference.rejected, first);
    TORCH_CHECK(policy.averaged == reference.averaged,
                "sp2dpo::Loss: the log-probabilities of the policy are ",
                policy.averaged ? "means" : "sums", " over tokens, those of the reference ",
                reference.averaged ? "means" : "sums");
    check_controls(controls, pairs, first.device());
    check_objective(objective, options, controls);
    dtype = loss_type({policy.chosen, policy.rejected});
  }

  [[nodiscard]] PairInputs inputs(const Variables& variables) const {
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

  [[nodiscard]] bool on_cpu() const { return reference.chosen.device().is_cpu(); }

  /// Runs the pair loop where the tensors are.
  [[nodiscard]] LogProbsParts run(const Variables& variables, PairTable table) const {
    table.outputs.gradient_scale = 1 / divisor(options, pairs);
    const PairInputs in = inputs(variables);
    if (on_cpu()) {
      const double sum = objective.pair_loss(in, table.outputs, 0, pairs);
      return {reduced(options, table.rows, table.outputs.gradient_scale * sum, dtype), table.rows};
    }
    const Tensor total = at::empty({}, table.rows.options().dtype(dtype));
    on_cuda::pair_loss(objective, in, table.outputs, pairs, total);
    if (options.reduction != Reduction::none) return {total, table.rows};
    return {table.rows.select(0, loss_row).to(dtype, /*non_blocking=*/false, /*copy=*/true),
            table.rows};
  }

  [[nodiscard]] LogProbsParts forward(const Variables& variables) const override {
    return run(variables, PairTable(pairs, variables[0].device()));
  }

  [[nodiscard]] Tensor curvature(const Variables& variables,
                                 const Variables& direction) const override {
    TORCH_CHECK(
        objective.twice_differentiable(), "sp2dpo::Loss: the objective ", objective.name(),
        " has no second derivative: make its call operator a template of the number's type");
    TORCH_CHECK(on_cpu(), "sp2dpo::Loss: second derivatives are for the CPU only");
    const auto along = [](const Tensor& tensor) {
      return tensor.defined() ? values_of(tensor) : PairValues(0.0);
    };
    PairTable table(pairs, at::kCPU);
    table.outputs.gradient_scale = 1 / divisor(options, pairs);
    objective.pair_curvature(
        inputs(variables),
        {along(direction[0]), along(direction[1]), along(direction[2]), along(direction[3])},
        table.outputs, 0, pairs);
    table.rows.select(0, loss_row).mul_(table.outputs.gradient_scale);
    return table.rows;
  }

  /// As the general one, in a loop: a batch has few pairs, so that each operation of libtorch's
  /// costs more than all of them.
  [[nodiscard]] tensor_list gradient(const Tensor& rows, const Tensor& upstream,
                                     const Variables& variables) const override {
    if (!on_cpu()) return LogProbsStep::gradient(rows, upstream, variables);
    const PairValues scale = upstream_values(upstream);
    tensor_list result(needs.size());
    for (std::size_t i = 0; i < needs.size(); ++i) {
      if (!needs[i]) continue;
      result[i] = uninitialized({pairs}, variables[i].scalar_type());
      const PairSink sink = sink_of(result[i]);
      const double* const slope =
          rows.data_ptr<double>() + (first_gradient + static_cast<std::int64_t>(i)) * pairs;
      for (std::int64_t pair = 0; pair < pairs; ++pair) sink.set(pair, scale[pair] * slope[pair]);
    }
    return result;
  }

  AnyObjective objective;
  LossOptions options;
  LogProbs reference;
  double beta, margin;  // where they are numbers
  PerPair weight;
  std::int64_t pairs;
  at::ScalarType dtype;
};

void keep(AutogradContext* ctx, const Step& step) {
  ctx->saved_data["step"] = c10::IValue::make_capsule(step);
}

Step kept(AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<LogProbsStep>(ctx->saved_data["step"].toCapsule());
}

/// The gradient of the loss, as a function that has one itself.
struct LogProbsSlope : torch::autograd::Function<LogProbsSlope> {
  static tensor_list forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const Tensor& upstream, const Tensor& rows, const Step& step) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const Variables variables{chosen, rejected, beta.value_or(Tensor()), margin.value_or(Tensor())};
    ctx->save_for_backward({chosen, rejected, variables[2], variables[3], upstream});
    keep(ctx, step);
    tensor_list result = step->gradient(rows, upstream, variables);
    std::erase_if(result, [](const Tensor& slope) { return !slope.defined(); });
    return result;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list given_direction) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "sp2dpo::Loss: third derivatives are not available");
    const Step step = kept(ctx);
    const auto saved = ctx->get_saved_variables();
    const Variables variables{saved[0], saved[1], saved[2], saved[3]};
    const Tensor& upstream = saved[4];
    Variables direction;
    std::size_t next = 0;
    for (std::size_t i = 0; i < direction.size(); ++i)
      if (step->needs[i]) direction[i] = given_direction[next++];
    const Tensor rows = step->curvature(variables, direction);
    tensor_list gradient = step->gradient(rows, upstream, variables);
    const Tensor by_pair = rows.select(0, loss_row);
    gradient.push_back((upstream.dim() == 0 ? by_pair.sum() : by_pair).to(upstream.scalar_type()));
    gradient.resize(7);
    return gradient;
  }
};

struct LogProbsLoss : torch::autograd::Function<LogProbsLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                        const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                        const Step& step, LogProbsParts& parts) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const Variables variables{chosen, rejected, beta.value_or(Tensor()), margin.value_or(Tensor())};
    parts = step->forward(variables);
    ctx->save_for_backward({chosen, rejected, variables[2], variables[3], parts.rows});
    keep(ctx, step);
    return parts.loss;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    const Step step = kept(ctx);
    const auto saved = ctx->get_saved_variables();
    tensor_list gradient;
    if (c10::GradMode::is_enabled()) {
      auto slopes = LogProbsSlope::apply(saved[0], saved[1], given(saved[2]), given(saved[3]),
                                         upstream[0], saved[4], step);
      std::size_t next = 0;
      for (const bool needed : step->needs)
        gradient.push_back(needed ? std::move(slopes[next++]) : Tensor());
    } else {
      gradient = step->gradient(saved[4], upstream[0], {saved[0], saved[1], saved[2], saved[3]});
    }
    gradient.resize(6);
    return gradient;
  }
};

}  // namespace

tensor_list LogProbsStep::gradient(const Tensor& rows, const Tensor& upstream,
                                   const Variables& variables) const {
  const Tensor scaled = rows.narrow(0, first_gradient, gradient_count) * upstream;
  tensor_list result(needs.size());
  for (std::size_t i = 0; i < needs.size(); ++i)
    if (needs[i])
      result[i] = scaled.select(0, static_cast<std::int64_t>(i)).to(variables[i].scalar_type());
  return result;
}

LogProbsParts with_gradient(const Step& step, const Variables& variables) {
  std::ranges::transform(variables, step->needs.begin(), asks_for_gradient);
  if (std::ranges::count(step->needs, true) == 0) {
    const at::AutoDispatchBelowADInplaceOrView below;
    return step->forward(variables);
  }
  LogProbsParts parts;
  parts.loss = LogProbsLoss::apply(variables[0], variables[1], given(variables[2]),
                                   given(variables[3]), step, parts);
  return parts;
}

Step log_probs_step(const AnyObjective& objective, const LossOptions& options,
                    const LogProbs& policy, const LogProbs& reference, const Controls& controls) {
  return c10::make_intrusive<LogProbsCall>(objective, options, policy, reference, controls);
}

namespace detail {

LossOutput loss_of_log_probs(const AnyObjective& objective, const LossOptions& options,
                             const LogProbs& policy, const LogProbs& reference,
                             const Controls& controls) {
  LogProbsParts parts =
      with_gradient(log_probs_step(objective, options, policy, reference, controls),
                    {policy.chosen, policy.rejected, controls.beta.tensor, controls.margin.tensor});
  const auto dtype = parts.loss.scalar_type();
  return {std::move(parts.loss), record_of(std::move(parts.rows), policy, controls, dtype)};
}

LogProbsGradient value_and_grad_of_log_probs(const AnyObjective& objective,
                                             const LossOptions& options, const LogProbs& policy,
                                             const LogProbs& reference, const Controls& controls) {
  const at::AutoDispatchBelowADInplaceOrView below;
  const LogProbsCall call(objective, options, policy, reference, controls);
  const auto gradient_of = [](const Tensor& x) {
    return uninitialized(x.sizes(), x.scalar_type(), x.device());
  };
  LogProbsGradient result{{{}, {}}, gradient_of(policy.chosen), gradient_of(policy.rejected)};
  PairTable table(call.pairs, policy.chosen.device());
  table.outputs.d_policy_chosen = sink_of(result.chosen);
  table.outputs.d_policy_rejected = sink_of(result.rejected);
  table.outputs.d_beta = table.outputs.d_margin = {};
  LogProbsParts parts =
      call.run({policy.chosen, policy.rejected, controls.beta.tensor, controls.margin.tensor},
               std::move(table));
  result.output = {std::move(parts.loss),
                   record_of(std::move(parts.rows), policy, controls, call.dtype)};
  return result;
}

}  // namespace detail
}  // namespace sp2dpo
