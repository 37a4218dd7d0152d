// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "hidden.hpp"
#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include "pairs.hpp"
#include "sequences.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {
namespace {

constexpr const char* hidden_needs[] = {"need_hidden", "need_weight", "need_bias"};

}  // namespace

void hidden_loss_forward(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const AnyObjective objective = objective_of(arguments);
  const LossOptions options = options_of(arguments);
  const Tensor hidden = arguments.tensor("hidden");
  HiddenNeeds needs{};
  for (std::size_t i = 0; i < std::size(hidden_needs); ++i)
    needs[i] = arguments[hidden_needs[i]].toBool();
  const HiddenParts parts =
      hidden_forward(objective, options, hidden, arguments.tensor("head_weight"),
                     arguments.tensor("head_bias"), arguments.tensor("labels"),
                     reference_of(arguments, averages(objective, options)), controls_of(arguments),
                     {.layout = layout_of(arguments),
                      .vocab_size = arguments.integer("vocab_size"),
                      .workspace_bytes = arguments.integer("workspace_bytes"),
                      .precise = arguments["precise"].toBool()},
                     needs, HeadGradient::rounded);
  auto results = results_of(parts.loss, parts.record);
  for (const Tensor& gradient : {parts.hidden, parts.head_weight, parts.head_bias})
    results.push_back(gradient.defined() ? gradient : at::empty({0}, hidden.options()));
  results.insert(results.end(), {parts.beta.clone(), parts.margin.clone()});
  arguments.give(results);
}

void hidden_loss_forward_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor hidden = arguments.tensor("hidden");
  const Tensor beta = arguments.tensor("beta");
  const auto dtype = loss_type({hidden});
  auto results = unmade_results(arguments, dtype);
  const auto gradient = [&](std::size_t i, const char* name) {
    results.push_back(arguments[hidden_needs[i]].toBool()
                          ? unmade(arguments.tensor(name), hidden.scalar_type())
                          : at::empty({0}, hidden.options()));
  };
  gradient(0, "hidden");
  gradient(1, "head_weight");
  gradient(2, "head_bias");
  results.insert(results.end(), {unmade(beta, at::kDouble), unmade(beta, at::kDouble)});
  arguments.give(results);
}

void hidden_loss(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  check_weight(arguments);
  const Tensor hidden = arguments.tensor("hidden"), weight = arguments.tensor("head_weight"),
               bias = arguments.tensor("head_bias"), beta = arguments.tensor("beta"),
               margin = arguments.tensor("margin");
  const HiddenVariables variables{hidden, weight, bias, beta, margin};
  const HiddenNeeds needs = needs_of(variables);
  std::vector<Tensor> results;
  const auto forward = [&] {
    Stack all = arguments.all();
    all.insert(all.end(), {needs[0], needs[1], needs[2]});
    results = call("sp2dpo::hidden_loss_forward", std::move(all));
    return HiddenParts{results[0], results[5], results[6], results[7], results[8], results[9]};
  };
  const Tensor loss = with_gradient(variables, needs, reduction_of(arguments), forward).loss;
  arguments.give({loss, results[1], results[2], results[3], results[4]});
}

}  // namespace sp2dpo::operators
