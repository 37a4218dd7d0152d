// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>
#include <vector>

#include "log_probs.hpp"
#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {
namespace {

LogProbsStep::Variables log_probs_variables(const Arguments& arguments) {
  return {arguments.tensor("chosen_logps"), arguments.tensor("rejected_logps"),
          arguments.tensor("beta"), arguments.tensor("margin")};
}

auto step_of(const Arguments& arguments) {
  return log_probs_step(
      objective_of(arguments), options_of(arguments),
      {arguments.tensor("chosen_logps"), arguments.tensor("rejected_logps")},
      {arguments.tensor("ref_chosen_logps"), arguments.tensor("ref_rejected_logps")},
      controls_of(arguments));
}

Tensor unmade_rows(const Arguments& arguments) {
  const Tensor beta = arguments.tensor("beta");
  return at::empty_symint({row_count, beta.sym_size(0)}, beta.options().dtype(at::kDouble));
}

/// The steps through the dispatcher.
struct OperatorStep final : LogProbsStep {
  explicit OperatorStep(const Arguments& given)
      : arguments(given.all()),
        places{given.index("chosen_logps"), given.index("rejected_logps"), given.index("beta"),
               given.index("margin")} {
    for (const std::size_t place : places) arguments[place] = IValue();
  }

  [[nodiscard]] Stack with(const Variables& variables) const {
    Stack stack = arguments;
    for (std::size_t i = 0; i < places.size(); ++i)
      if (variables[i].defined()) stack[places[i]] = variables[i];
    return stack;
  }

  [[nodiscard]] LogProbsParts forward(const Variables& variables) const override {
    auto results = call("sp2dpo::log_probs_loss_forward", with(variables));
    return {std::move(results[0]), std::move(results[1])};
  }

  [[nodiscard]] Tensor curvature(const Variables& variables,
                                 const Variables& direction) const override {
    std::vector<Tensor> along;
    for (const Tensor& part : direction)
      along.push_back(part.defined() ? part.to(at::kDouble)
                                     : at::zeros_like(variables[2], at::kDouble));
    Stack stack = with(variables);
    stack.insert(stack.begin(), at::stack(along));
    return call("sp2dpo::log_probs_loss_curvature", std::move(stack))[0];
  }

  Stack arguments;  // without the variables
  std::array<std::size_t, 4> places;
};

}  // namespace

void log_probs_loss_forward(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const LogProbsParts parts = step_of(arguments)->forward(log_probs_variables(arguments));
  arguments.give({parts.loss, parts.rows});
}

void log_probs_loss_curvature(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor direction = arguments.tensor("direction");
  const Tensor beta = arguments.tensor("beta");
  TORCH_CHECK(direction.sizes() == at::IntArrayRef({gradient_count, beta.numel()}) &&
                  direction.scalar_type() == at::kDouble && direction.device() == beta.device(),
              "sp2dpo: direction must be float64 [", gradient_count, ", ", beta.numel(),
              "] beside beta, not ", direction.scalar_type(), " ", direction.sizes());
  arguments.give({step_of(arguments)->curvature(
      log_probs_variables(arguments), {direction[0], direction[1], direction[2], direction[3]})});
}

void log_probs_loss_forward_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const auto dtype =
      loss_type({arguments.tensor("chosen_logps"), arguments.tensor("rejected_logps")});
  arguments.give({unmade_loss(arguments, dtype), unmade_rows(arguments)});
}

void log_probs_loss_curvature_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  arguments.give({unmade_rows(arguments)});
}

void log_probs_loss(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  check_weight(arguments);
  const LogProbsParts parts =
      with_gradient(c10::make_intrusive<OperatorStep>(arguments), log_probs_variables(arguments));
  const auto reward = [&](Row row) {
    return parts.rows.select(0, row).to(parts.loss.scalar_type(), /*non_blocking=*/false,
                                        /*copy=*/true);
  };
  arguments.give({parts.loss, reward(chosen_reward_row), reward(rejected_reward_row)});
}

}  // namespace sp2dpo::operators
