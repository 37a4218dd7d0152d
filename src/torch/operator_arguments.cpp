// SPDX-License-Identifier: Apache-2.0
#include "operator_arguments.hpp"

#include <initializer_list>
#include <utility>

#include "pairs.hpp"

#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::operators {
namespace {

template <class Objective>
AnyObjective with_parameters(Objective objective, const std::optional<double>& label_smoothing,
                             const std::optional<double>& discopop_tau) {
  if constexpr (requires { objective.label_smoothing; }) {
    objective.label_smoothing = label_smoothing.value_or(objective.label_smoothing);
  } else {
    TORCH_CHECK(label_smoothing.value_or(0) == 0, "sp2dpo: ", Objective::name,
                " has no label smoothing, but label_smoothing is ", *label_smoothing);
  }
  if constexpr (requires { objective.discopop_tau; }) {
    objective.discopop_tau = discopop_tau.value_or(objective.discopop_tau);
  } else {
    TORCH_CHECK(!discopop_tau, "sp2dpo: discopop_tau is for discopop, not for ", Objective::name);
  }
  return objective;
}

template <class Choice>
Choice choice_of(const Arguments& arguments, const char* name,
                 std::initializer_list<std::pair<const char*, Choice>> choices) {
  const std::string wanted = arguments.text(name);
  std::string names;
  for (const auto& [choice, value] : choices) {
    if (wanted == choice) return value;
    names += names.empty() ? choice : std::string(", ") + choice;
  }
  TORCH_CHECK(false, "sp2dpo: ", name, " must be one of ", names, ", not ", wanted);
}

}  // namespace

std::vector<Tensor> call(const char* name, Stack arguments) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(arguments);
  std::vector<Tensor> results;
  for (const IValue& value : arguments) results.push_back(value.toTensor());
  return results;
}

AnyObjective objective_of(const Arguments& arguments) {
  const std::string wanted = arguments.text("loss_type");
  const auto label_smoothing = arguments.number("label_smoothing");
  const auto discopop_tau = arguments.number("discopop_tau");
  std::optional<AnyObjective> found;
  std::string names;
  const auto look_at = [&](const auto& objective) {
    if (wanted == objective.name)
      found.emplace(with_parameters(objective, label_smoothing, discopop_tau));
    names += names.empty() ? objective.name : std::string(", ") + objective.name;
  };
  const auto look_at_all = [&]<class... Objectives>(ObjectiveList<Objectives...>) {
    (look_at(Objectives{}), ...);
  };
  look_at_all(BuiltInObjectives{});
  TORCH_CHECK(wanted.rfind("aot", 0) != 0, "sp2dpo: the loss_type ", wanted,
              " sorts the log-ratios over the batch, so that a pair has no loss of its own and "
              "therefore no beta, margin or weight; expected one of: ",
              names);
  TORCH_CHECK(found, "sp2dpo: unknown loss_type ", wanted, "; expected one of: ", names);
  return *found;
}

Reduction reduction_of(const Arguments& arguments) {
  return choice_of<Reduction>(
      arguments, "reduction",
      {{"none", Reduction::none}, {"mean", Reduction::mean}, {"sum", Reduction::sum}});
}

LossOptions options_of(const Arguments& arguments) {
  LossOptions options{.reduction = reduction_of(arguments),
                      .normalizer = arguments.number("normalizer")};
  if (!arguments.has("labels")) return options;
  options.average_log_prob = arguments["average_log_prob"].toBool();
  options.ignore_index = arguments["ignore_index"].toInt();
  options.empty_rows = choice_of<EmptyRows>(
      arguments, "empty_rows",
      {{"error", EmptyRows::error}, {"skip", EmptyRows::skip}, {"keep", EmptyRows::keep}});
  options.nll_coefficient = arguments["nll_coefficient"].toDouble();
  options.nll_normalizer = arguments.number("nll_normalizer");
  return options;
}

Controls controls_of(const Arguments& arguments) {
  Controls controls{arguments.tensor("beta")};
  if (const Tensor margin = arguments.tensor("margin"); margin.defined()) controls.margin = margin;
  // The operator above has already refused a weight that requires a gradient.
  if (const Tensor weight = arguments.tensor("weight"); weight.defined()) controls.weight = weight;
  return controls;
}

Reference reference_of(const Arguments& arguments, bool averaged) {
  const Tensor chosen = arguments.tensor("ref_chosen_logps");
  const Tensor rejected = arguments.tensor("ref_rejected_logps");
  TORCH_CHECK(
      chosen.defined() == rejected.defined(),
      "sp2dpo: one of ref_chosen_logps and ref_rejected_logps is None; expected both or neither");
  if (!chosen.defined()) return NoReference{};
  return LogProbs{chosen, rejected, averaged};
}

PairLayout layout_of(const Arguments& arguments) {
  return {.order = arguments["interleaved"].toBool() ? Sequences::Layout::interleaved
                                                     : Sequences::Layout::halves,
          .cu_seqlens = arguments.tensor("cu_seqlens")};
}

void check_weight(const Arguments& arguments) {
  const Tensor weight = arguments.tensor("weight");
  TORCH_CHECK(!asks_for_gradient(weight),
              "sp2dpo: weight is a constant but requires a gradient; detach() it");
}

}  // namespace sp2dpo::operators
