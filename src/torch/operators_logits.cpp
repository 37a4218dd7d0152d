// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "logits.hpp"
#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include "pairs.hpp"
#include "sequences.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::operators {
namespace {

/// The gradient pass, called through the dispatcher.
struct OperatorBackward final : LogitsBackward {
  explicit OperatorBackward(const Arguments& arguments)
      : ignore_index(arguments["ignore_index"]), vocab_size(arguments["vocab_size"]) {}

  [[nodiscard]] Tensor operator()(const Tensor& logits, const Tensor& labels,
                                  const Tensor& lse_others,
                                  const Tensor& coefficient) const override {
    return call("sp2dpo::row_gradient",
                {logits, labels, lse_others, coefficient, ignore_index, vocab_size})
        .front();
  }

  IValue ignore_index, vocab_size;
};

/// The arguments of a loss of logits, in the terms of Loss.
struct LogitsInputs {
  explicit LogitsInputs(const Arguments& given)
      : objective(objective_of(given)),
        options(options_of(given)),
        logits(given.tensor("logits")),
        labels(given.tensor("labels")),
        reference(reference_of(given, averages(objective, options))),
        controls(controls_of(given)),
        how{.layout = layout_of(given), .vocab_size = given.integer("vocab_size")} {}

  [[nodiscard]] detail::LogitsArguments arguments() const {
    return {logits, labels, reference, controls, how};
  }

  AnyObjective objective;
  LossOptions options;
  Tensor logits, labels;
  Reference reference;
  Controls controls;
  LogitsOptions how;
};

/// Returns an argument of one number per row.
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

/// The checked arguments that the operators of rows share. A row with a bad label is NaN.
struct RowsCall {
  explicit RowsCall(const Arguments& arguments)
      : logits(arguments.tensor("logits")),
        backend(backend_of("logits", logits)),
        rows(logit_rows("logits", logits, arguments.integer("vocab_size"))),
        labels(checked_labels("logits", logits, arguments.tensor("labels"))),
        row_labels{labels.data_ptr<std::int64_t>(), arguments["ignore_index"].toInt()} {}

  /// Returns memory for one number per row.
  [[nodiscard]] Tensor by_row() const {
    return at::zeros(labels.sizes(), labels.options().dtype(at::kDouble));
  }
  [[nodiscard]] Tensor gradient() const {
    return uninitialized(logits.sizes(), logits.scalar_type(), logits.device());
  }

  Tensor logits;
  std::shared_ptr<const Backend> backend;
  LogitRows rows;
  Tensor labels;
  RowLabels row_labels;
};

}  // namespace

void row_log_probs(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const RowsCall call(arguments);
  const RowLogProbsResults results{call.by_row(), call.by_row()};
  call.backend->row_log_probs(
      call.rows, call.row_labels,
      {.log_prob = data_of(results.log_prob), .lse_others = data_of(results.lse_others)});
  arguments.give(results);
}

void row_gradient(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const RowsCall call(arguments);
  const Tensor lse_others = by_row(arguments, "lse_others", call.logits, call.rows.rows),
               coefficient = by_row(arguments, "coefficient", call.logits, call.rows.rows),
               gradient = call.gradient();
  call.backend->row_gradient(call.rows, call.row_labels, data_of(lse_others), data_of(coefficient),
                             gradient_rows(gradient));
  arguments.give(std::vector{gradient});
}

void row_log_probs_and_gradient(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const RowsCall call(arguments);
  const RowGradientResults results{call.by_row(), call.by_row(), call.gradient()};
  const Tensor coefficient = arguments["coefficient"].isNone()
                                 ? at::ones_like(results.log_prob)
                                 : by_row(arguments, "coefficient", call.logits, call.rows.rows);
  call.backend->row_log_probs_and_gradient(
      call.rows, call.row_labels,
      {.log_prob = data_of(results.log_prob), .lse_others = data_of(results.lse_others)},
      data_of(coefficient), gradient_rows(results.gradient));
  arguments.give(results);
}

void row_log_probs_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor labels = arguments.tensor("labels");
  arguments.give(RowLogProbsResults{unmade(labels, at::kDouble), unmade(labels, at::kDouble)});
}

void row_gradient_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits");
  arguments.give(std::vector{unmade(logits, logits.scalar_type())});
}

void row_log_probs_and_gradient_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits"), labels = arguments.tensor("labels");
  arguments.give(RowGradientResults{unmade(labels, at::kDouble), unmade(labels, at::kDouble),
                                    unmade(logits, logits.scalar_type())});
}

void logits_loss_forward(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const LogitsInputs x(arguments);
  const LogitsParts parts = logits_forward(LogitsCall(x.objective, x.options, x.arguments()));
  arguments.give(LogitsForwardResults{.sequences = results_of(parts.loss, parts.record),
                                      .lse_others = parts.lse_others,
                                      .coefficient = parts.coefficient,
                                      .pair_of_row = parts.pair_of_row,
                                      .d_beta = parts.d_beta.clone(),
                                      .d_margin = parts.d_margin.clone()});
}

void logits_loss_forward_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor labels = arguments.tensor("labels");
  const Tensor beta = arguments.tensor("beta");
  const Tensor by_row = at::empty_symint({labels.sym_numel()}, labels.options());
  const bool by_pair = reduction_of(arguments) == Reduction::none;
  arguments.give(LogitsForwardResults{
      .sequences = unmade_results(arguments, loss_type({arguments.tensor("logits")})),
      .lse_others = unmade(by_row, at::kDouble),
      .coefficient = unmade(by_row, at::kDouble),
      .pair_of_row = by_pair ? by_row : at::empty({0}, labels.options()),
      .d_beta = unmade(beta, at::kDouble),
      .d_margin = unmade(beta, at::kDouble)});
}

void logits_loss_value_and_grad(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const LogitsInputs x(arguments);
  const auto [output, d_logits, row_scale] = detail::value_and_grad_of_logits(
      x.objective, x.options, x.arguments(), arguments["unit"].toBool());
  const auto float64 = x.logits.options().dtype(at::kDouble);
  arguments.give(LogitsGradientResults{
      .sequences = {output.loss, output.chosen_logps().clone(), output.rejected_logps().clone(),
                    output.chosen_rewards().clone(), output.rejected_rewards().clone()},
      .d_logits = d_logits,
      .row_scale = row_scale.defined() ? row_scale : at::empty({0}, float64)});
}

void logits_loss_value_and_grad_meta(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  const Tensor logits = arguments.tensor("logits"), labels = arguments.tensor("labels");
  const auto by_rows = labels.options().dtype(at::kDouble);
  arguments.give(LogitsGradientResults{
      .sequences = unmade_results(arguments, loss_type({logits})),
      .d_logits = unmade(logits, logits.scalar_type()),
      .row_scale = arguments["unit"].toBool() ? at::empty_symint({labels.sym_numel()}, by_rows)
                                              : at::empty({0}, by_rows)});
}

void logits_loss(const OperatorHandle& op, Stack* stack) {
  const Arguments arguments(op, stack);
  check_weight(arguments);
  LogitsForwardResults results;
  const auto forward = [&] {
    results = call<LogitsForwardResults>("sp2dpo::logits_loss_forward", arguments.all());
    return LogitsParts{.loss = results.sequences.loss,
                       .lse_others = results.lse_others,
                       .coefficient = results.coefficient,
                       .pair_of_row = results.pair_of_row,
                       .d_beta = results.d_beta,
                       .d_margin = results.d_margin};
  };
  const LogitsVariables variables{arguments.tensor("logits"), arguments.tensor("beta"),
                                  arguments.tensor("margin")};
  const Tensor loss = with_gradient(variables, arguments.tensor("labels"), forward,
                                    c10::make_intrusive<OperatorBackward>(arguments))
                          .loss;
  results.sequences.loss = loss;
  arguments.give(results.sequences);
}

}  // namespace sp2dpo::operators
