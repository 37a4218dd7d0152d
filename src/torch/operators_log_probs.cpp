// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "constant_tensors.hpp"
#include "log_probs.hpp"
#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {
namespace {

PairVariables log_probs_variables(const Arguments& arguments) {
  return {arguments.tensor("chosen_logps"), arguments.tensor("rejected_logps"),
          arguments.tensor("beta"), arguments.tensor("margin")};
}

auto step_of(const Arguments& arguments) {
  const AnyObjective objective = objective_of(arguments);
  const bool averaged = objective.averages_log_probs();  // as the operator's caller promises
  return log_probs_step(
      objective, options_of(arguments),
      {arguments.tensor("chosen_logps"), arguments.tensor("rejected_logps"), averaged},
      {arguments.tensor("ref_chosen_logps"), arguments.tensor("ref_rejected_logps"), averaged},
      controls_of(arguments));
}

Tensor unmade_columns(const Arguments& arguments) {
  const Tensor beta = arguments.tensor("beta");
  return at::empty_symint({column_count, beta.sym_size(0)}, beta.options().dtype(at::kDouble));
}

/// The steps, called through the dispatcher.
struct OperatorStep final : LogProbsStep {
  explicit OperatorStep(const Arguments& given)
      : arguments(given.all()),
        place{given.index("chosen_logps"), given.index("rejected_logps"), given.index("beta"),
              given.index("margin")} {
    for (const std::size_t* i : place.all()) arguments[*i] = IValue();
    constants = ConstantTensors({{"ref_chosen_logps", given.tensor("ref_chosen_logps")},
                                 {"ref_rejected_logps", given.tensor("ref_rejected_logps")},
                                 {"weight", given.tensor("weight")}});
  }

  [[nodiscard]] Stack with(const PairVariables& variables) const {
    Stack stack = arguments;
    for (std::size_t i = 0; i < gradient_count; ++i)
      if (variables.all()[i]->defined()) stack[*place.all()[i]] = *variables.all()[i];
    return stack;
  }

  [[nodiscard]] LogProbsParts forward(const PairVariables& variables) const override {
    const auto results =
        call<LogProbsForwardResults>("sp2dpo::log_probs_loss_forward", with(variables));
    return {results.loss, results.columns};
  }

  [[nodiscard]] Tensor curvature(const PairVariables& variables,
                                 const PairVariables& direction) const override {
    constants.check();
    std::vector<Tensor> along;
    for (const Tensor* part : direction.all())
      along.push_back(part->defined() ? part->to(at::kDouble)
                                      : at::zeros_like(variables.beta, at::kDouble));
    Stack stack = with(variables);
    stack.insert(stack.begin(), at::stack(along));
    return call("sp2dpo::log_probs_loss_curvature", std::move(stack)).front();
  }

  Stack arguments;                     // without the variables
  PerPairVariable<std::size_t> place;  // of the variables among the arguments
  ConstantTensors constants;
};

}  // namespace

void log_probs_loss_forward(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const LogProbsParts parts = step_of(arguments)->forward(log_probs_variables(arguments));
  arguments.give(LogProbsForwardResults{parts.loss, parts.columns});
}

void log_probs_loss_curvature(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor direction = arguments.tensor("direction");
  const Tensor beta = arguments.tensor("beta");
  TORCH_CHECK(direction.sizes() == at::IntArrayRef({gradient_count, beta.numel()}) &&
                  direction.scalar_type() == at::kDouble && direction.device() == beta.device(),
              "sp2dpo: direction must be float64 [", gradient_count, ", ", beta.numel(),
              "] beside beta, not ", direction.scalar_type(), " ", direction.sizes());
  const auto by_variable = unpack<PairVariables>(direction.unbind());
  arguments.give(
      std::vector{step_of(arguments)->curvature(log_probs_variables(arguments), by_variable)});
}

void log_probs_loss_forward_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const auto dtype =
      loss_type({arguments.tensor("chosen_logps"), arguments.tensor("rejected_logps")});
  arguments.give(LogProbsForwardResults{unmade_loss(arguments, dtype), unmade_columns(arguments)});
}

void log_probs_loss_curvature_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  arguments.give(std::vector{unmade_columns(arguments)});
}

void log_probs_loss(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  check_weight(arguments);
  const LogProbsParts parts =
      with_gradient(c10::make_intrusive<OperatorStep>(arguments), log_probs_variables(arguments));
  const auto reward = [&](OutputColumn column) {
    return column_of(parts.columns, column, parts.loss.scalar_type());
  };
  arguments.give(
      LogProbsResults{parts.loss, reward(chosen_reward_column), reward(rejected_reward_column)});
}

}  // namespace sp2dpo::operators
