// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hidden.hpp"
#include "log_probs.hpp"
#include "logits.hpp"
#include "pairs.hpp"
#include "sequences.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <sp2dpo/objectives.hpp>
#include <sp2dpo/torch/loss.hpp>

/// The losses as operators of libtorch's, for those who find them by name (Python, torch.compile).
/// log_probs_loss, logits_loss and hidden_loss have gradients, which they make of lower operators:
/// those have none, but kernels for meta tensors too, so that tracing sees through the losses.
///
/// Kernels are boxed: a schema is the only list of an operator's arguments, read by their names.
namespace sp2dpo::operators {
namespace {

using at::Tensor;
using c10::IValue;
using c10::OperatorHandle;
using torch::jit::Stack;

/// The arguments of a boxed call, which lie at the stack's end.
class Arguments {
 public:
  Arguments(const OperatorHandle& op, Stack* stack) : schema_(op.schema()), stack_(*stack) {}

  [[nodiscard]] bool has(const char* name) const {
    return schema_.argumentIndexWithName(name).has_value();
  }
  [[nodiscard]] std::size_t index(const char* name) const {
    const auto found = schema_.argumentIndexWithName(name);
    TORCH_INTERNAL_ASSERT(found, schema_, " has no argument ", name);
    return static_cast<std::size_t>(*found);
  }
  [[nodiscard]] IValue& operator[](const char* name) const {
    return stack_[stack_.size() - schema_.arguments().size() + index(name)];
  }
  /// Undefined for None.
  [[nodiscard]] Tensor tensor(const char* name) const {
    const IValue& value = (*this)[name];
    return value.isNone() ? Tensor() : value.toTensor();
  }
  [[nodiscard]] std::optional<double> number(const char* name) const {
    const IValue& value = (*this)[name];
    return value.isNone() ? std::nullopt : std::optional(value.toDouble());
  }
  [[nodiscard]] std::optional<std::int64_t> integer(const char* name) const {
    const IValue& value = (*this)[name];
    return value.isNone() ? std::nullopt : std::optional(value.toInt());
  }
  [[nodiscard]] std::string text(const char* name) const { return (*this)[name].toStringRef(); }

  [[nodiscard]] Stack all() const {
    return {stack_.end() - static_cast<std::ptrdiff_t>(schema_.arguments().size()), stack_.end()};
  }

  /// Results take the place of the arguments.
  void give(const std::vector<Tensor>& results) const {
    stack_.resize(stack_.size() - schema_.arguments().size());
    stack_.insert(stack_.end(), results.begin(), results.end());
  }

 private:
  const c10::FunctionSchema& schema_;
  Stack& stack_;
};

std::vector<Tensor> call(const char* name, Stack arguments) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(arguments);
  std::vector<Tensor> results;
  for (const IValue& value : arguments) results.push_back(value.toTensor());
  return results;
}

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
  TORCH_CHECK(
      wanted.rfind("aot", 0) != 0, "sp2dpo: the loss_type ", wanted,
      " sorts the log-ratios over the batch, after which no loss belongs to a pair, so that "
      "none could have the pair's beta, margin or weight; there are: ",
      names);
  TORCH_CHECK(found, "sp2dpo: there is no loss_type ", wanted, "; there are: ", names);
  return *found;
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
  // What asks for a gradient asks for it of the operator above, which has refused it by now.
  if (const Tensor weight = arguments.tensor("weight"); weight.defined()) controls.weight = weight;
  return controls;
}

/// Of whole answers, where the labels come too: sums or means as the policy's are.
Reference reference_of(const Arguments& arguments, bool averaged) {
  const Tensor chosen = arguments.tensor("ref_chosen_logps");
  const Tensor rejected = arguments.tensor("ref_rejected_logps");
  TORCH_CHECK(chosen.defined() == rejected.defined(),
              "sp2dpo: ref_chosen_logps and ref_rejected_logps go together, but one is None");
  if (!chosen.defined()) return NoReference{};
  return LogProbs{chosen, rejected, averaged};
}

PairLayout layout_of(const Arguments& arguments) {
  return {.order = arguments["interleaved"].toBool() ? Sequences::Layout::interleaved
                                                     : Sequences::Layout::halves,
          .cu_seqlens = arguments.tensor("cu_seqlens")};
}

/// A beta for all pairs becomes a tensor of them.
void beta_for_all(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  c10::SymInt pairs;
  Tensor like;
  if (arguments.has("labels")) {
    like = arguments.tensor("labels");
    const Tensor bounds = arguments.tensor("cu_seqlens");
    pairs = (bounds.defined() ? bounds.sym_size(0) - 1 : like.sym_size(0)) / 2;
  } else {
    like = arguments.tensor("chosen_logps");
    pairs = like.sym_size(0);
  }
  IValue& beta = arguments["beta"];
  beta = at::full_symint({pairs}, beta.toDouble(), like.options().dtype(at::kDouble));
  c10::Dispatcher::singleton().findSchemaOrThrow(op.schema().name().c_str(), "").callBoxed(stack);
}

// The rows of logits.

void row_log_probs_kernel(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  const LogitRows rows = logit_rows("logits", logits, arguments.integer("vocab_size"));
  const Tensor labels = checked_labels("logits", logits, arguments.tensor("labels"));
  const Tensor log_prob = at::zeros(labels.sizes(), labels.options().dtype(at::kDouble));
  const Tensor lse_others = at::zeros_like(log_prob);
  // Nobody asks for it: a row with a bad label is NaN.
  const Tensor bad_row = labels.is_cpu() ? Tensor() : at::full({}, -1, labels.options());
  row_log_probs(
      rows, {labels.data_ptr<std::int64_t>(), arguments["ignore_index"].toInt()},
      {.log_prob = log_prob.data_ptr<double>(), .lse_others = lse_others.data_ptr<double>()},
      bad_row);
  arguments.give({log_prob, lse_others});
}

void row_gradient_kernel(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  const LogitRows rows = logit_rows("logits", logits, arguments.integer("vocab_size"));
  const Tensor labels = checked_labels("logits", logits, arguments.tensor("labels"));
  const auto by_row = [&](const char* name) {
    const Tensor tensor = arguments.tensor(name);
    TORCH_CHECK(tensor.scalar_type() == at::kDouble && tensor.numel() == rows.rows &&
                    tensor.device() == logits.device(),
                "sp2dpo: ", name, " must be float64, one number for each of the ", rows.rows,
                " rows, on ", logits.device(), ", not ", tensor.scalar_type(), " ", tensor.sizes(),
                " on ", tensor.device());
    return tensor.contiguous();
  };
  const Tensor gradient = uninitialized(logits.sizes(), logits.scalar_type(), logits.device());
  as_torch_errors([&] {
    row_gradient(rows, {labels.data_ptr<std::int64_t>(), arguments["ignore_index"].toInt()},
                 by_row("lse_others"), by_row("coefficient"), gradient);
  });
  arguments.give({gradient});
}

Tensor unmade(const Tensor& like, at::ScalarType dtype) {
  return at::empty_like(like, like.options().dtype(dtype), at::MemoryFormat::Contiguous);
}

void row_log_probs_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor labels = arguments.tensor("labels");
  arguments.give({unmade(labels, at::kDouble), unmade(labels, at::kDouble)});
}

void row_gradient_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  arguments.give({unmade(logits, logits.scalar_type())});
}

// The loss of log-probabilities.

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

/// Of the loss, which is float64 where one of the tensors is.
Tensor unmade_loss(const Arguments& arguments, at::ScalarType dtype) {
  const Tensor beta = arguments.tensor("beta");
  (void)objective_of(arguments);  // refused while tracing already
  return reduction_of(arguments) == Reduction::none ? unmade(beta, dtype)
                                                    : at::empty({}, beta.options().dtype(dtype));
}

Tensor unmade_rows(const Arguments& arguments) {
  const Tensor beta = arguments.tensor("beta");
  return at::empty_symint({row_count, beta.sym_size(0)}, beta.options().dtype(at::kDouble));
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

void check_weight(const Arguments& arguments) {
  const Tensor weight = arguments.tensor("weight");
  TORCH_CHECK(!asks_for_gradient(weight),
              "sp2dpo: weight is a constant, but asks for a gradient; detach() it");
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

// The loss of logits.

/// The first results of the losses of rows, each in memory of its own.
std::vector<Tensor> results_of(const Tensor& loss, const detail::PairRecord& record) {
  const auto reward = [&](Row row) {
    return record.rows.select(0, row).to(record.dtype, /*non_blocking=*/false, /*copy=*/true);
  };
  return {loss, record.policy.chosen.clone(), record.policy.rejected.clone(),
          reward(chosen_reward_row), reward(rejected_reward_row)};
}

std::vector<Tensor> unmade_results(const Arguments& arguments, at::ScalarType dtype) {
  const Tensor beta = arguments.tensor("beta");
  std::vector<Tensor> results{unmade_loss(arguments, dtype)};
  for (int i = 0; i < 4; ++i) results.push_back(unmade(beta, dtype));
  return results;
}

void logits_loss_forward(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const AnyObjective objective = objective_of(arguments);
  const LossOptions options = options_of(arguments);
  const Controls controls = controls_of(arguments);
  const LogitsOptions how{.layout = layout_of(arguments),
                          .vocab_size = arguments.integer("vocab_size")};
  const LogitsParts parts = logits_forward(
      LogitsCall(objective, options, arguments.tensor("logits"), arguments.tensor("labels"),
                 reference_of(arguments, averages(objective, options)), controls, how));
  auto results = results_of(parts.loss, parts.record);
  results.insert(results.end(), {parts.lse_others, parts.coefficient, parts.pair_of_row,
                                 parts.beta.clone(), parts.margin.clone()});
  arguments.give(results);
}

void logits_loss_forward_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor labels = arguments.tensor("labels");
  const Tensor beta = arguments.tensor("beta");
  auto results = unmade_results(arguments, loss_type({arguments.tensor("logits")}));
  const Tensor by_row = at::empty_symint({labels.sym_numel()}, labels.options());
  results.insert(
      results.end(),
      {unmade(by_row, at::kDouble), unmade(by_row, at::kDouble),
       reduction_of(arguments) == Reduction::none ? by_row : at::empty({0}, labels.options()),
       unmade(beta, at::kDouble), unmade(beta, at::kDouble)});
  arguments.give(results);
}

/// The gradient pass through the dispatcher.
struct OperatorBackward final : LogitsBackward {
  explicit OperatorBackward(const Arguments& arguments)
      : ignore_index(arguments["ignore_index"]), vocab_size(arguments["vocab_size"]) {}

  [[nodiscard]] Tensor operator()(const Tensor& logits, const Tensor& labels,
                                  const Tensor& lse_others,
                                  const Tensor& coefficient) const override {
    return call("sp2dpo::row_gradient",
                {logits, labels, lse_others, coefficient, ignore_index, vocab_size})[0];
  }

  IValue ignore_index, vocab_size;
};

void logits_loss(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  check_weight(arguments);
  std::vector<Tensor> results;
  const auto forward = [&] {
    results = call("sp2dpo::logits_loss_forward", arguments.all());
    return LogitsParts{results[0], results[5], results[6], results[7], results[8], results[9], {}};
  };
  const Tensor loss = with_gradient(arguments.tensor("logits"), arguments.tensor("labels"),
                                    arguments.tensor("beta"), arguments.tensor("margin"), forward,
                                    c10::make_intrusive<OperatorBackward>(arguments))
                          .loss;
  arguments.give({loss, results[1], results[2], results[3], results[4]});
}

// The loss of hidden states.

constexpr const char* hidden_needs[] = {"need_hidden", "need_weight", "need_bias"};

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

// Autocast.

/// Casts the named arguments, and goes on without autocast.
void call_with(const OperatorHandle& op, Stack* stack, std::initializer_list<const char*> names,
               at::ScalarType dtype) {
  const Arguments arguments(op, stack);
  for (const char* name : names) {
    const Tensor tensor = arguments.tensor(name);
    if (tensor.defined())
      arguments[name] = at::autocast::cached_cast(dtype, tensor, tensor.device().type());
  }
  const c10::impl::ExcludeDispatchKeyGuard without_autocast(
      c10::DispatchKeySet({c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA}));
  op.callBoxed(stack);
}

/// float32 at least, as for libtorch's own losses.
void log_probs_loss_autocast(const OperatorHandle& op, Stack* stack) {
  call_with(op, stack, {"chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps"},
            at::kFloat);
}

/// The narrow type for both sides of the matrix product, as for linear. Logits need no kernel here:
/// whatever their type, they are summed up in float32 at least, and never copied.
void hidden_loss_autocast(const OperatorHandle& op, Stack* stack) {
  const auto device = Arguments(op, stack).tensor("hidden").device().type();
  call_with(op, stack, {"hidden", "head_weight", "head_bias"},
            at::autocast::get_lower_precision_fp_from_device_type(device));
}

// Schemas.

constexpr const char* objective_arguments =
    "str loss_type=\"sigmoid\", float? label_smoothing=None, float? discopop_tau=None, "
    "str reduction=\"mean\", float? normalizer=None";
constexpr const char* row_arguments =
    ", bool average_log_prob=False, float nll_coefficient=0., float? nll_normalizer=None, "
    "str empty_rows=\"error\", int ignore_index=-100, int? vocab_size=None, "
    "bool interleaved=False, Tensor? cu_seqlens=None";
constexpr const char* pair_results =
    "(Tensor loss, Tensor chosen_logps, Tensor rejected_logps, Tensor chosen_rewards, "
    "Tensor rejected_rewards";

/// `beta` is a type: Tensor, one number a pair, or float, one for all.
std::string log_probs_arguments(const std::string& beta) {
  return "Tensor chosen_logps, Tensor rejected_logps, Tensor ref_chosen_logps, "
         "Tensor ref_rejected_logps, " +
         beta + " beta, Tensor? margin=None, Tensor? weight=None, *, " + objective_arguments;
}

std::string control_arguments(const std::string& beta) {
  return beta +
         " beta, Tensor? ref_chosen_logps=None, Tensor? ref_rejected_logps=None, "
         "Tensor? margin=None, Tensor? weight=None, *, " +
         objective_arguments + row_arguments;
}

std::string logits_arguments(const std::string& beta) {
  return "Tensor logits, Tensor labels, " + control_arguments(beta);
}

std::string hidden_arguments(const std::string& beta) {
  return "Tensor hidden, Tensor head_weight, Tensor? head_bias, Tensor labels, " +
         control_arguments(beta) + ", int? workspace_bytes=None, bool precise=False";
}

template <c10::BoxedKernel::BoxedKernelFunction* kernel>
torch::CppFunction boxed() {
  return torch::CppFunction::makeFromBoxedFunction<kernel>();
}

/// Where the numbers are: a device that a loss does not run on is refused there, by its name.
void implement_kernels(torch::Library& m) {
  m.impl("row_log_probs", boxed<&row_log_probs_kernel>());
  m.impl("row_gradient", boxed<&row_gradient_kernel>());
  m.impl("log_probs_loss_forward", boxed<&log_probs_loss_forward>());
  m.impl("log_probs_loss_curvature", boxed<&log_probs_loss_curvature>());
  m.impl("logits_loss_forward", boxed<&logits_loss_forward>());
  m.impl("hidden_loss_forward", boxed<&hidden_loss_forward>());
}

void implement_losses(torch::Library& m) {
  m.impl("log_probs_loss", boxed<&log_probs_loss>());
  m.impl("logits_loss", boxed<&logits_loss>());
  m.impl("hidden_loss", boxed<&hidden_loss>());
}

void implement_autocast(torch::Library& m) {
  m.impl("log_probs_loss", boxed<&log_probs_loss_autocast>());
  m.impl("hidden_loss", boxed<&hidden_loss_autocast>());
}

}  // namespace

TORCH_LIBRARY(sp2dpo, m) {
  const auto define = [&](const std::string& schema) { m.def(schema.c_str()); };
  const auto define_loss = [&](const std::string& name,
                               std::string (*arguments)(const std::string&),
                               const std::string& results) {
    define(name + "(" + arguments("Tensor") + ") -> " + results);
    m.def((name + ".number(" + arguments("float") + ") -> " + results).c_str(),
          boxed<&beta_for_all>());
  };
  define_loss("log_probs_loss", log_probs_arguments,
              "(Tensor loss, Tensor chosen_rewards, Tensor rejected_rewards)");
  define_loss("logits_loss", logits_arguments, std::string(pair_results) + ")");
  define_loss("hidden_loss", hidden_arguments, std::string(pair_results) + ")");

  define(
      "row_log_probs(Tensor logits, Tensor labels, int ignore_index=-100, int? vocab_size=None) -> "
      "(Tensor log_prob, Tensor lse_others)");
  define(
      "row_gradient(Tensor logits, Tensor labels, Tensor lse_others, Tensor coefficient, "
      "int ignore_index=-100, int? vocab_size=None) -> Tensor");
  define("log_probs_loss_forward(" + log_probs_arguments("Tensor") +
         ") -> (Tensor loss, Tensor rows)");
  define("log_probs_loss_curvature(Tensor direction, " + log_probs_arguments("Tensor") +
         ") -> Tensor");
  define("logits_loss_forward(" + logits_arguments("Tensor") + ") -> " + pair_results +
         ", Tensor lse_others, Tensor coefficient, Tensor pair_of_row, Tensor d_beta, "
         "Tensor d_margin)");
  define("hidden_loss_forward(" + hidden_arguments("Tensor") +
         ", bool need_hidden=True, bool need_weight=True, bool need_bias=False) -> " +
         pair_results +
         ", Tensor d_hidden, Tensor d_head_weight, Tensor d_head_bias, Tensor d_beta, "
         "Tensor d_margin)");
}

TORCH_LIBRARY_IMPL(sp2dpo, CPU, m) {
  implement_kernels(m);
}
TORCH_LIBRARY_IMPL(sp2dpo, CUDA, m) {
  implement_kernels(m);
}
TORCH_LIBRARY_IMPL(sp2dpo, Meta, m) {
  m.impl("row_log_probs", boxed<&row_log_probs_meta>());
  m.impl("row_gradient", boxed<&row_gradient_meta>());
  m.impl("log_probs_loss_forward", boxed<&log_probs_loss_forward_meta>());
  m.impl("log_probs_loss_curvature", boxed<&log_probs_loss_curvature_meta>());
  m.impl("logits_loss_forward", boxed<&logits_loss_forward_meta>());
  m.impl("hidden_loss_forward", boxed<&hidden_loss_forward_meta>());
}
TORCH_LIBRARY_IMPL(sp2dpo, CompositeExplicitAutograd, m) {
  implement_losses(m);
}
TORCH_LIBRARY_IMPL(sp2dpo, Autograd, m) {
  implement_losses(m);
  for (const char* name :
       {"row_log_probs", "row_gradient", "log_probs_loss_forward", "log_probs_loss_curvature",
        "logits_loss_forward", "hidden_loss_forward"})
    m.impl(name, torch::autograd::autogradNotImplementedFallback());
}
TORCH_LIBRARY_IMPL(sp2dpo, AutocastCPU, m) {
  implement_autocast(m);
}
TORCH_LIBRARY_IMPL(sp2dpo, AutocastCUDA, m) {
  implement_autocast(m);
}

}  // namespace sp2dpo::operators
