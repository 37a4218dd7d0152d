// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include "logits.hpp"
#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include "pairs.hpp"
#include "sequences.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {
namespace {

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

RowLabels labels_of(const Arguments& arguments, const Tensor& labels) {
  return {labels.data_ptr<std::int64_t>(), arguments["ignore_index"].toInt()};
}

/// An argument of one number a row.
Tensor by_row(const Arguments& arguments, const char* name, const Tensor& logits,
              std::int64_t rows) {
  const Tensor tensor = arguments.tensor(name);
  TORCH_CHECK(tensor.scalar_type() == at::kDouble && tensor.numel() == rows &&
                  tensor.device() == logits.device(),
              "sp2dpo: ", name, " must be float64, one number for each of the ", rows, " rows, on ",
              logits.device(), ", not ", tensor.scalar_type(), " ", tensor.sizes(), " on ",
              tensor.device());
  return tensor.contiguous();
}

/// What the first pass writes. Nobody asks for the bad row: one with a bad label is NaN.
struct PassResults {
  explicit PassResults(const Tensor& labels)
      : log_prob(at::zeros(labels.sizes(), labels.options().dtype(at::kDouble))),
        lse_others(at::zeros_like(log_prob)),
        bad_row(labels.is_cpu() ? Tensor() : at::full({}, -1, labels.options())) {}

  [[nodiscard]] RowStatistics statistics() const {
    return {.log_prob = log_prob.data_ptr<double>(), .lse_others = lse_others.data_ptr<double>()};
  }

  Tensor log_prob, lse_others, bad_row;
};

}  // namespace

void row_log_probs(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  const LogitRows rows = logit_rows("logits", logits, arguments.integer("vocab_size"));
  const Tensor labels = checked_labels("logits", logits, arguments.tensor("labels"));
  const PassResults pass(labels);
  sp2dpo::row_log_probs(rows, labels_of(arguments, labels), pass.statistics(), pass.bad_row);
  arguments.give({pass.log_prob, pass.lse_others});
}

void row_gradient(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  const LogitRows rows = logit_rows("logits", logits, arguments.integer("vocab_size"));
  const Tensor labels = checked_labels("logits", logits, arguments.tensor("labels"));
  const Tensor gradient = uninitialized(logits.sizes(), logits.scalar_type(), logits.device());
  as_torch_errors([&] {
    sp2dpo::row_gradient(rows, labels_of(arguments, labels),
                         by_row(arguments, "lse_others", logits, rows.rows),
                         by_row(arguments, "coefficient", logits, rows.rows), gradient);
  });
  arguments.give({gradient});
}

void row_log_probs_and_gradient(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  const LogitRows rows = logit_rows("logits", logits, arguments.integer("vocab_size"));
  const Tensor labels = checked_labels("logits", logits, arguments.tensor("labels"));
  const PassResults pass(labels);
  const Tensor coefficient = arguments["coefficient"].isNone()
                                 ? at::ones_like(pass.log_prob)
                                 : by_row(arguments, "coefficient", logits, rows.rows);
  const Tensor gradient = uninitialized(logits.sizes(), logits.scalar_type(), logits.device());
  sp2dpo::row_log_probs_and_gradient(rows, labels_of(arguments, labels), pass.statistics(),
                                     coefficient, gradient, pass.bad_row);
  arguments.give({pass.log_prob, pass.lse_others, gradient});
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

void row_log_probs_and_gradient_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits"), labels = arguments.tensor("labels");
  arguments.give({unmade(labels, at::kDouble), unmade(labels, at::kDouble),
                  unmade(logits, logits.scalar_type())});
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

void logits_loss_value_and_grad(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const AnyObjective objective = objective_of(arguments);
  const LossOptions options = options_of(arguments);
  const Tensor logits = arguments.tensor("logits");
  const auto [output, d_logits, row_scale] = detail::value_and_grad_of_logits(
      objective, options, logits, arguments.tensor("labels"),
      reference_of(arguments, averages(objective, options)), controls_of(arguments),
      {.layout = layout_of(arguments), .vocab_size = arguments.integer("vocab_size")},
      arguments["unit"].toBool());
  std::vector<Tensor> results{output.loss};
  for (const Tensor& by_pair : {output.chosen_logps(), output.rejected_logps(),
                                output.chosen_rewards(), output.rejected_rewards()})
    results.push_back(by_pair.clone());  // in memory of its own
  results.insert(
      results.end(),
      {d_logits,
       row_scale.defined() ? row_scale : at::empty({0}, logits.options().dtype(at::kDouble))});
  arguments.give(results);
}

void logits_loss_value_and_grad_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits"), labels = arguments.tensor("labels");
  auto results = unmade_results(arguments, loss_type({logits}));
  const auto by_rows = labels.options().dtype(at::kDouble);
  results.insert(results.end(),
                 {unmade(logits, logits.scalar_type()),
                  arguments["unit"].toBool() ? at::empty_symint({labels.sym_numel()}, by_rows)
                                             : at::empty({0}, by_rows)});
  arguments.give(results);
}

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

}  // namespace sp2dpo::operators
