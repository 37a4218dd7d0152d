// SPDX-License-Identifier: Apache-2.0
#include "log_probs.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "backend.hpp"
#include "constant_tensors.hpp"
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
using Step = c10::intrusive_ptr<LogProbsStep>;

PairVariables variables_of(const LogProbs& policy, const Controls& controls) {
  return {policy.chosen, policy.rejected, controls.beta.tensor, controls.margin.tensor};
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
                policy.averaged ? "means" : "sums", " over tokens, but those of the reference are ",
                reference.averaged ? "means" : "sums");
    check_controls(controls, pairs, first.device());
    check_objective(objective, options, controls);
    TORCH_CHECK(policy.averaged || !objective.averages_log_probs(),
                "sp2dpo::Loss: ", objective.name(),
                " takes log-probabilities averaged over a response's tokens, not sums; divide them "
                "by the numbers of tokens and set LogProbs::averaged, of policy and reference");
    dtype = loss_type({policy.chosen, policy.rejected});
    backend = backend_of("policy.chosen", first);
    constants = ConstantTensors({{"reference.chosen", reference.chosen},
                                 {"reference.rejected", reference.rejected},
                                 {"weight", weight.tensor}});
  }

  [[nodiscard]] PairInputs inputs(const PairVariables& variables) const {
    const auto or_number = [](const Tensor& tensor, double number) {
      return tensor.defined() ? values_of(tensor) : PairValues(number);
    };
    return {.policy_chosen = values_of(variables.chosen),
            .policy_rejected = values_of(variables.rejected),
            .reference_chosen = values_of(reference.chosen),
            .reference_rejected = values_of(reference.rejected),
            .beta = or_number(variables.beta, beta),
            .margin = or_number(variables.margin, margin),
            .weight = values_of(weight)};
  }

  /// Runs the pair loop into `table`.
  [[nodiscard]] LogProbsParts run(const PairVariables& variables, PairTable table) const {
    table.outputs.gradient_scale = 1 / divisor(options, pairs);
    const Tensor total =
        backend->pair_loss(objective, inputs(variables), table.outputs, pairs, dtype);
    return {reduced(options, table.columns, total), table.columns};
  }

  [[nodiscard]] LogProbsParts forward(const PairVariables& variables) const override {
    return run(variables, PairTable(pairs, variables.chosen.device()));
  }

  [[nodiscard]] Tensor curvature(const PairVariables& variables,
                                 const PairVariables& direction) const override {
    constants.check();
    TORCH_CHECK(objective.twice_differentiable(), "sp2dpo::Loss: the objective ", objective.name(),
                " has no second derivative; make its call operator a template of the scalar type");
    const auto along = [](const Tensor& tensor) {
      return tensor.defined() ? values_of(tensor) : PairValues(0.0);
    };
    PairTable table(pairs, variables.chosen.device());
    table.outputs.gradient_scale = 1 / divisor(options, pairs);
    backend->pair_curvature(objective, inputs(variables),
                            {along(direction.chosen), along(direction.rejected),
                             along(direction.beta), along(direction.margin)},
                            table.outputs, pairs);
    table.columns.select(0, loss_column).mul_(table.outputs.gradient_scale);
    return table.columns;
  }

  [[nodiscard]] PairVariables gradient(const Tensor& columns, const Tensor& upstream,
                                       const PairVariables& variables) const override {
    return backend->scaled_gradients(columns, upstream, variables, needs);
  }

  AnyObjective objective;
  LossOptions options;
  LogProbs reference;
  double beta, margin;  // where they are numbers
  PerPair weight;
  std::int64_t pairs;
  at::ScalarType dtype;
  std::shared_ptr<const Backend> backend;
  ConstantTensors constants;
};

void keep(AutogradContext* ctx, const Step& step) {
  ctx->saved_data["step"] = c10::IValue::make_capsule(step);
}

Step kept(AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<LogProbsStep>(ctx->saved_data["step"].toCapsule());
}

/// The variables of a call and one more tensor: the upstream gradient, or the columns.
struct SavedLogProbs {
  PairVariables variables;
  Tensor other;

  template <class Self>
  static auto members(Self& self) {
    auto& x = self.variables;
    return std::array{&x.chosen, &x.rejected, &x.beta, &x.margin, &self.other};
  }
};

/// The gradient of the loss, as a function that has one itself. Returns the gradients that are
/// needed, since autograd knows no undefined result.
struct LogProbsSlope : torch::autograd::Function<LogProbsSlope> {
  static tensor_list forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const Tensor& upstream, const Tensor& columns, const Step& step) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const PairVariables variables{chosen, rejected, beta.value_or(Tensor()),
                                  margin.value_or(Tensor())};
    ctx->save_for_backward(pack(SavedLogProbs{variables, upstream}));
    keep(ctx, step);
    tensor_list result = pack(step->gradient(columns, upstream, variables));
    std::erase_if(result, [](const Tensor& slope) { return !slope.defined(); });
    return result;
  }

  static tensor_list backward(AutogradContext* ctx, const tensor_list& given_direction) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "sp2dpo::Loss: third derivatives are not available");
    const Step step = kept(ctx);
    const auto saved = unpack<SavedLogProbs>(ctx->get_saved_variables());
    const Tensor& upstream = saved.other;
    const PairVariables direction = needed(*step, given_direction);
    const Tensor columns = step->curvature(saved.variables, direction);
    const PairVariables gradient = step->gradient(columns, upstream, saved.variables);
    const Tensor by_pair = columns.select(0, loss_column);
    const Tensor by_upstream =
        (upstream.dim() == 0 ? by_pair.sum() : by_pair).to(upstream.scalar_type());
    return {gradient.chosen, gradient.rejected, gradient.beta, gradient.margin, by_upstream,
            /*columns*/ {},  /*step*/ {}};
  }

  /// The inverse of leaving out what is not needed.
  static PairVariables needed(const LogProbsStep& step, const tensor_list& list) {
    PairVariables result;
    auto next = list.begin();
    for (std::size_t i = 0; i < gradient_count; ++i)
      if (*step.needs.all()[i]) *result.all()[i] = *next++;
    return result;
  }
};

struct LogProbsLoss : torch::autograd::Function<LogProbsLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                        const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                        const Step& step, LogProbsParts& parts) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const PairVariables variables{chosen, rejected, beta.value_or(Tensor()),
                                  margin.value_or(Tensor())};
    parts = step->forward(variables);
    ctx->save_for_backward(pack(SavedLogProbs{variables, parts.columns}));
    keep(ctx, step);
    return parts.loss;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    const Step step = kept(ctx);
    const auto saved = unpack<SavedLogProbs>(ctx->get_saved_variables());
    const auto& [variables, columns] = saved;
    PairVariables gradient;
    if (c10::GradMode::is_enabled()) {
      gradient = LogProbsSlope::needed(
          *step, LogProbsSlope::apply(variables.chosen, variables.rejected, given(variables.beta),
                                      given(variables.margin), upstream[0], columns, step));
    } else {
      gradient = step->gradient(columns, upstream[0], variables);
    }
    return {gradient.chosen, gradient.rejected, gradient.beta, gradient.margin, /*step*/ {},
            /*parts*/ {}};
  }
};

}  // namespace

LogProbsParts with_gradient(const Step& step, const PairVariables& variables) {
  bool any = false;
  for (std::size_t i = 0; i < gradient_count; ++i)
    any |= *step->needs.all()[i] = asks_for_gradient(*variables.all()[i]);
  if (!any) {
    const at::AutoDispatchBelowADInplaceOrView below;
    return step->forward(variables);
  }
  LogProbsParts parts;
  parts.loss = LogProbsLoss::apply(variables.chosen, variables.rejected, given(variables.beta),
                                   given(variables.margin), step, parts);
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
                    variables_of(policy, controls));
  const auto dtype = parts.loss.scalar_type();
  return {std::move(parts.loss), record_of(std::move(parts.columns), policy, controls, dtype)};
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
  LogProbsParts parts = call.run(variables_of(policy, controls), std::move(table));
  result.output = {std::move(parts.loss),
                   record_of(std::move(parts.columns), policy, controls, call.dtype)};
  return result;
}

}  // namespace detail
}  // namespace sp2dpo
