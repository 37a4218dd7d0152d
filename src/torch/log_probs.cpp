// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <vector>

#include "on_cuda.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// All that one evaluation needs beside the tensors that may ask for a gradient.
struct LogProbsCall {
  const AnyObjective& objective;
  const LossOptions& options;
  const LogProbs& policy;
  const LogProbs& reference;
  const Controls& controls;
};

/// Runs the pair loop where the tensors are. Returns Σ weight · value / the divisor.
Tensor run(const LogProbsCall& call, PairOutputs& outputs, std::int64_t pairs) {
  outputs.gradient_scale = 1 / divisor(call.options, pairs);
  const PairInputs in{.policy_chosen = values_of(call.policy.chosen),
                      .policy_rejected = values_of(call.policy.rejected),
                      .reference_chosen = values_of(call.reference.chosen),
                      .reference_rejected = values_of(call.reference.rejected),
                      .beta = values_of(call.controls.beta),
                      .margin = values_of(call.controls.margin),
                      .weight = values_of(call.controls.weight)};
  const Tensor total = at::empty({}, call.policy.chosen.options().dtype(at::kDouble));
  if (total.is_cpu())
    *total.data_ptr<double>() =
        outputs.gradient_scale * call.objective.pair_loss(in, outputs, 0, pairs);
  else
    on_cuda::pair_loss(call.objective, in, outputs, pairs, total);
  return total;
}

struct LogProbsLoss : torch::autograd::Function<LogProbsLoss> {
  /// The tensors are those of `call`, once more, for autograd to see them.
  static tensor_list forward(AutogradContext* ctx, const Tensor& chosen, const Tensor& rejected,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const std::array<bool, 4>& needs, const LogProbsCall& call) {
    PairRows64 pairs(chosen.numel(), needs, chosen.device());
    const Tensor total = run(call, pairs.outputs, chosen.numel());
    const Tensor& rows = pairs.rows;
    if (rows.size(0) > gradients) {
      ctx->save_for_backward({rows.narrow(0, gradients, rows.size(0) - gradients)});
      const std::array<c10::optional<Tensor>, 4> inputs{chosen, rejected, beta, margin};
      std::vector<std::int64_t> types;  // of the inputs that need a gradient, −1 for the others
      for (std::size_t i = 0; i < inputs.size(); ++i)
        types.push_back(needs[i] ? static_cast<std::int64_t>(inputs[i]->scalar_type()) : -1);
      ctx->saved_data["types"] = types;
    }
    ctx->mark_non_differentiable({rows});
    const auto dtype = wide(chosen) == at::kDouble ? at::kDouble : wide(rejected);
    return {reduced(call.options, rows, total, dtype), rows};
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is not available");
    const Tensor scaled = ctx->get_saved_variables()[0] * upstream[0];
    tensor_list gradient(6);
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

void check(const LogProbsCall& call) {
  const Tensor& first = call.policy.chosen;
  check_log_probs("policy.chosen", first, first);
  check_log_probs("policy.rejected", call.policy.rejected, first);
  check_log_probs("reference.chosen", call.reference.chosen, first);
  check_log_probs("reference.rejected", call.reference.rejected, first);
  TORCH_CHECK(call.policy.averaged == call.reference.averaged,
              "sp2dpo::Loss: the log-probabilities of the policy are ",
              call.policy.averaged ? "means" : "sums", " over tokens, those of the reference ",
              call.reference.averaged ? "means" : "sums");
  check_controls(call.controls, first.size(0), first.device());
  check_objective(call.objective, call.options, call.controls);
}

}  // namespace

namespace detail {

LossOutput loss_of_log_probs(const AnyObjective& objective, const LossOptions& options,
                             const LogProbs& policy, const LogProbs& reference,
                             const Controls& controls) {
  const LogProbsCall call{objective, options, policy, reference, controls};
  check(call);
  const Tensor& beta = controls.beta.tensor;
  const Tensor& margin = controls.margin.tensor;
  const std::array needs{asks_for_gradient(policy.chosen), asks_for_gradient(policy.rejected),
                         asks_for_gradient(beta), asks_for_gradient(margin)};
  auto result =
      LogProbsLoss::apply(policy.chosen, policy.rejected, given(beta), given(margin), needs, call);
  const auto dtype = result[0].scalar_type();
  return {std::move(result[0]), record_of(std::move(result[1]), policy, controls, dtype)};
}

LogProbsGradient value_and_grad_of_log_probs(const AnyObjective& objective,
                                             const LossOptions& options, const LogProbs& policy,
                                             const LogProbs& reference, const Controls& controls) {
  const LogProbsCall call{objective, options, policy, reference, controls};
  check(call);
  PairRows64 pairs(policy.chosen.numel(), {}, policy.chosen.device());
  LogProbsGradient result{
      {{}, {}}, at::empty_like(policy.chosen.detach()), at::empty_like(policy.rejected.detach())};
  pairs.outputs.d_policy_chosen = sink_of(result.chosen);
  pairs.outputs.d_policy_rejected = sink_of(result.rejected);
  const Tensor total = run(call, pairs.outputs, policy.chosen.numel());
  const auto dtype = wide(policy.chosen) == at::kDouble ? at::kDouble : wide(policy.rejected);
  result.output = {reduced(options, pairs.rows, total, dtype),
                   record_of(pairs.rows, policy, controls, dtype)};
  return result;
}

}  // namespace detail
}  // namespace sp2dpo
