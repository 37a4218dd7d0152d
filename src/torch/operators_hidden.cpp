// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "hidden.hpp"
#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include "pairs.hpp"
#include "sequences.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {

void hidden_loss_forward(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const AnyObjective objective = objective_of(arguments);
  const LossOptions options = options_of(arguments);
  const Tensor hidden = arguments.tensor("hidden");
  const HiddenNeeds needs{.hidden = arguments["need_hidden"].toBool(),
                          .head_weight = arguments["need_weight"].toBool(),
                          .head_bias = arguments["need_bias"].toBool()};
  const HiddenParts parts =
      hidden_forward(objective, options,
                     {.hidden = hidden,
                      .head_weight = arguments.tensor("head_weight"),
                      .head_bias = arguments.tensor("head_bias"),
                      .labels = arguments.tensor("labels"),
                      .reference = reference_of(arguments, averages(objective, options)),
                      .controls = controls_of(arguments),
                      .how = {.layout = layout_of(arguments),
                              .vocab_size = arguments.integer("vocab_size"),
                              .workspace_bytes = arguments.integer("workspace_bytes"),
                              .precise = arguments["precise"].toBool()}},
                     needs, HeadGradient::rounded);
  const auto or_empty = [&](const Tensor& gradient) {
    return gradient.defined() ? gradient : at::empty({0}, hidden.options());
  };
  arguments.give(HiddenForwardResults{.sequences = results_of(parts.loss, parts.record),
                                      .d_hidden = or_empty(parts.gradient.hidden),
                                      .d_head_weight = or_empty(parts.gradient.head_weight),
                                      .d_head_bias = or_empty(parts.gradient.head_bias),
                                      .d_beta = parts.gradient.beta.clone(),
                                      .d_margin = parts.gradient.margin.clone()});
}

void hidden_loss_forward_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor hidden = arguments.tensor("hidden");
  const Tensor beta = arguments.tensor("beta");
  const auto gradient = [&](const char* needed, const char* name) {
    return arguments[needed].toBool()
               ? unmade(arguments.tensor(name), kept_type(hidden.scalar_type()))
               : at::empty({0}, hidden.options());
  };
  arguments.give(HiddenForwardResults{.sequences = unmade_results(arguments, loss_type({hidden})),
                                      .d_hidden = gradient("need_hidden", "hidden"),
                                      .d_head_weight = gradient("need_weight", "head_weight"),
                                      .d_head_bias = gradient("need_bias", "head_bias"),
                                      .d_beta = unmade(beta, at::kDouble),
                                      .d_margin = unmade(beta, at::kDouble)});
}

void hidden_loss(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  check_weight(arguments);
  const HiddenVariables variables{arguments.tensor("hidden"), arguments.tensor("head_weight"),
                                  arguments.tensor("head_bias"), arguments.tensor("beta"),
                                  arguments.tensor("margin")};
  const HiddenNeeds needs = needs_of(variables);
  HiddenForwardResults results;
  const auto forward = [&] {
    Stack all = arguments.all();
    all.insert(all.end(), {needs.hidden, needs.head_weight, needs.head_bias});
    results = call<HiddenForwardResults>("sp2dpo::hidden_loss_forward", std::move(all));
    return HiddenParts{results.sequences.loss,
                       {results.d_hidden, results.d_head_weight, results.d_head_bias,
                        results.d_beta, results.d_margin}};
  };
  const Tensor loss = with_gradient(variables, needs, reduction_of(arguments), forward).loss;
  results.sequences.loss = loss;
  arguments.give(results.sequences);
}

}  // namespace sp2dpo::operators
