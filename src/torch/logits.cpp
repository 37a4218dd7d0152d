// SPDX-License-Identifier: Apache-2.0
#include "logits.hpp"

#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "pairs.hpp"
#include "reference.hpp"
#include "sequences.hpp"
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// A checked call: everything but the tensors that may ask for a gradient.
struct LogitsCall {
  LogitsCall(const AnyObjective& objective_, const LossOptions& options_, const Tensor& logits,
             const Tensor& labels, const Reference& reference_, const Controls& controls_,
             const LogitsOptions& how_)
      : objective(objective_),
        options(options_),
        controls(controls_),
        how(how_),
        rows(logit_rows("logits", logits, how.vocab_size)),
        pairs("logits", logits, labels, how.layout, options) {
    check_controls(controls, pairs.pairs(), at::kCPU);
    check_objective(objective, options, controls);
    as_torch_errors([&] { cpu::check_rows(rows, pairs.row_labels(), {0, rows.rows}); });
    reference = reference_answers(reference_, logits, pairs, averages(objective, options),
                                  how.vocab_size, HiddenOptions().workspace_bytes);
    TORCH_CHECK(!how.gradient_in_place || !how.gradient_buffer.defined(),
                "sp2dpo::Loss: the gradient goes in place or to gradient_buffer, not to both");
    if (!how.gradient_buffer.defined()) return;
    const Tensor& buffer = how.gradient_buffer;
    TORCH_CHECK(buffer.sizes() == logits.sizes() && buffer.scalar_type() == logits.scalar_type() &&
                    buffer.device() == logits.device() &&
                    (buffer.stride(-1) == 1 || buffer.size(-1) == 1),
                "sp2dpo::Loss: gradient_buffer must be ", logits.scalar_type(), " ", logits.sizes(),
                " with a dense last dimension, not ", buffer.scalar_type(), " ", buffer.sizes());
    TORCH_CHECK(!buffer.requires_grad(),
                "sp2dpo::Loss: gradient_buffer asks for a gradient itself");
  }

  /// Where the gradient goes.
  [[nodiscard]] Tensor gradient(const Tensor& logits) const {
    if (how.gradient_in_place) return logits.detach();
    return how.gradient_buffer.defined() ? how.gradient_buffer
                                         : at::empty(logits.sizes(), logits.options());
  }

  /// The loss that `outputs` are to be made of.
  [[nodiscard]] SequenceLoss loss(PairOutputs& outputs) const {
    return sequence_loss(pairs, objective, options, controls, reference, outputs);
  }

  const AnyObjective& objective;
  const LossOptions& options;
  const Controls& controls;
  const LogitsOptions& how;
  LogitRows rows;
  LabelledPairs pairs;
  Tensor reference;  // float64 [2, P], or undefined
};

/// What the first pass over the rows leaves behind, float64 by row number.
struct RowPass {
  explicit RowPass(const LogitsCall& call)
      : log_prob(at::zeros({call.rows.rows}, at::kDouble)),
        lse_others(at::zeros({call.rows.rows}, at::kDouble)) {
    if (call.options.mean_logits) logit_sum = at::zeros({call.rows.rows}, at::kDouble);
  }

  [[nodiscard]] RowStatistics statistics() const {
    return {log_prob.data_ptr<double>(), lse_others.data_ptr<double>(),
            logit_sum.defined() ? logit_sum.data_ptr<double>() : nullptr};
  }

  Tensor log_prob, lse_others, logit_sum;
};

struct LogitsLoss : torch::autograd::Function<LogitsLoss> {
  static tensor_list forward(AutogradContext* ctx, const Tensor& logits,
                             const c10::optional<Tensor>& beta, const c10::optional<Tensor>& margin,
                             const std::array<bool, 3>& needs, const LogitsCall& call,
                             detail::PairRecord& record) {
    const std::int64_t pairs = call.pairs.pairs();
    const RowPass pass(call);
    cpu::row_log_probs(call.rows, call.pairs.row_labels(), call.pairs.rows.select(0, pairs),
                       pass.statistics(), ParallelFor());

    PairRows64 kept(pairs, {needs[0], needs[0], needs[1], needs[2]}, at::kCPU);
    const SequenceLoss loss = call.loss(kept.outputs);
    const Tensor policy = at::empty({2, pairs}, at::kDouble);
    LossSum sum;
    sequence_step(loss, 0, pairs, pass.log_prob.data_ptr<double>(),
                  row_of(policy, PairRows::chosen), row_of(policy, PairRows::rejected), sum);

    tensor_list saved(6);
    std::int64_t next = gradients;
    if (needs[0]) {
      const Tensor coefficient = at::zeros({call.rows.rows}, at::kDouble);
      row_coefficients(loss, 0, pairs, {row_of(kept.rows, gradients), DType::float64},
                       {row_of(kept.rows, gradients + 1), DType::float64}, 1.0,
                       coefficient.data_ptr<double>());
      saved = {logits, call.pairs.labels, pass.lse_others, coefficient};
      if (call.options.reduction == Reduction::none) saved.push_back(pair_of_row(call));
      next += 2;
    }
    saved.resize(5);
    for (std::size_t control = 1; control < needs.size(); ++control)
      saved.push_back(needs[control] ? kept.rows.select(0, next++) : Tensor());
    ctx->save_for_backward(saved);
    ctx->saved_data["ignore_index"] = call.pairs.ignore_index;
    ctx->saved_data["vocab"] = call.rows.vocab;
    ctx->saved_data["in_place"] = call.how.gradient_in_place;
    if (call.how.gradient_buffer.defined()) ctx->saved_data["buffer"] = call.how.gradient_buffer;
    if (needs[1]) ctx->saved_data["beta"] = static_cast<std::int64_t>(beta->scalar_type());
    if (needs[2]) ctx->saved_data["margin"] = static_cast<std::int64_t>(margin->scalar_type());

    const auto dtype = loss_type({logits});
    record = record_of_answers(call.pairs, call.options, call.controls, kept.rows, policy, loss,
                               pass.logit_sum, call.rows.vocab, sum, dtype);
    const Tensor total = at::scalar_tensor(sum.total(loss), at::kDouble);
    return {reduced(call.options, kept.rows, total, dtype)};
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is available from "
                "log-probabilities only, not from logits");
    const auto saved = ctx->get_saved_variables();
    const Tensor scale = upstream[0].to(at::kDouble);
    tensor_list gradient(6);
    const auto control = [&](const char* name, const Tensor& slope) {
      return (slope * scale).to(static_cast<at::ScalarType>(ctx->saved_data[name].toInt()));
    };
    if (saved[5].defined()) gradient[1] = control("beta", saved[5]);
    if (saved[6].defined()) gradient[2] = control("margin", saved[6]);
    if (!saved[0].defined()) return gradient;

    const Tensor& logits = saved[0];
    const Tensor coefficient =
        (saved[4].defined() ? saved[3] * scale.index_select(0, saved[4]) : saved[3] * scale)
            .contiguous();
    const bool in_place = ctx->saved_data["in_place"].toBool();
    const auto buffer = ctx->saved_data.find("buffer");
    gradient[0] = in_place                          ? logits.detach()
                  : buffer != ctx->saved_data.end() ? buffer->second.toTensor()
                                                    : at::empty(logits.sizes(), logits.options());
    const LogitRows rows = logit_rows("logits", logits, ctx->saved_data["vocab"].toInt());
    cpu::row_gradient(
        rows, {saved[1].data_ptr<std::int64_t>(), ctx->saved_data["ignore_index"].toInt()},
        {0, rows.rows}, saved[2].data_ptr<double>(), coefficient.data_ptr<double>(),
        {gradient[0].data_ptr(), row_layout(gradient[0])}, MaskedRows::zero, ParallelFor());
    // Whatever else saved the logits now raises, instead of computing with a gradient.
    if (in_place) torch::autograd::impl::bump_version(logits);
    return gradient;
  }

 private:
  /// For an upstream gradient by pair. Rows of no pair have the coefficient 0, so any will do.
  static Tensor pair_of_row(const LogitsCall& call) {
    const Tensor pair = at::zeros({call.rows.rows}, at::kLong);
    for (std::int64_t i = 0; i < call.pairs.pairs(); ++i) {
      const RowSelection rows = call.pairs.rows.select(i, i + 1);
      for (std::int64_t row = 0; row < rows.count; ++row)
        pair.data_ptr<std::int64_t>()[rows[row]] = i;
    }
    return pair;
  }
};

}  // namespace

LogitRows logit_rows(const char* name, const Tensor& logits,
                     const std::optional<std::int64_t>& vocab_size) {
  check_rows_tensor(name, logits);
  const std::int64_t columns = logits.size(-1);
  const std::int64_t vocab = vocab_size.value_or(columns);
  TORCH_CHECK(0 < vocab && vocab <= columns, "sp2dpo::Loss: vocab_size ", vocab,
              " must lie in [1, ", columns, "], the columns of ", name);
  return {.data = logits.data_ptr(),
          .dtype = dtype_of(logits),
          .rows = logits.numel() / columns,
          .vocab = vocab,
          .padded_vocab = columns,
          .layout = row_layout(logits)};
}

Tensor logits_answers(const ReferenceLogits& reference, const Tensor& policy,
                      const LabelledPairs& pairs, bool average,
                      const std::optional<std::int64_t>& vocab_size) {
  const LogitRows rows = logit_rows("reference.logits", reference.logits, vocab_size);
  TORCH_CHECK(row_shape(reference.logits) == row_shape(policy), "sp2dpo::Loss: reference.logits ",
              reference.logits.sizes(), " must have the rows of the policy's ", policy.sizes());
  const Tensor log_prob = at::zeros({rows.rows}, at::kDouble);
  as_torch_errors([&] {
    cpu::row_log_probs(rows, pairs.row_labels(), pairs.rows.select(0, pairs.pairs()),
                       {.log_prob = log_prob.data_ptr<double>()}, ParallelFor());
  });
  return answers(pairs, log_prob, average);
}

namespace detail {

LossOutput loss_of_logits(const AnyObjective& objective, const LossOptions& options,
                          const Tensor& logits, const Tensor& labels, const Reference& reference,
                          const Controls& controls, const LogitsOptions& how) {
  const LogitsCall call(objective, options, logits, labels, reference, controls, how);
  const std::array needs{asks_for_gradient(logits), asks_for_gradient(controls.beta.tensor),
                         asks_for_gradient(controls.margin.tensor)};
  PairRecord record;
  auto result = LogitsLoss::apply(logits, given(controls.beta.tensor),
                                  given(controls.margin.tensor), needs, call, record);
  return {std::move(result[0]), std::move(record)};
}

LogitsGradient value_and_grad_of_logits(const AnyObjective& objective, const LossOptions& options,
                                        const Tensor& logits, const Tensor& labels,
                                        const Reference& reference, const Controls& controls,
                                        const LogitsOptions& how, bool unit) {
  TORCH_CHECK(
      options.reduction != Reduction::none,
      "sp2dpo::Loss: value_and_grad gives the gradient of the reduced loss; the reduction is "
      "none");
  const c10::NoGradGuard no_grad;
  const LogitsCall call(objective, options, logits, labels, reference, controls, how);
  const std::int64_t pairs = call.pairs.pairs();
  const RowPass pass(call);
  PairRows64 kept(pairs, {true, true, false, false}, at::kCPU);
  const SequenceLoss loss = call.loss(kept.outputs);
  const Tensor policy = at::empty({2, pairs}, at::kDouble);
  const Tensor coefficient = at::zeros({call.rows.rows}, at::kDouble);
  const Tensor gradient = call.gradient(logits);
  const GradientRows out{gradient.data_ptr(), row_layout(gradient)};
  const RowLabels row_labels = call.pairs.row_labels();
  LossSum sum;
  const auto step = [&](std::int64_t begin, std::int64_t end) {
    sequence_step(loss, begin, end, pass.log_prob.data_ptr<double>(),
                  row_of(policy, PairRows::chosen), row_of(policy, PairRows::rejected), sum);
    row_coefficients(loss, begin, end, {row_of(kept.rows, gradients), DType::float64},
                     {row_of(kept.rows, gradients + 1), DType::float64}, 1.0,
                     coefficient.data_ptr<double>());
  };

  LogitsGradient result{{{}, {}}, gradient, {}};
  if (unit) {
    const Tensor ones = at::ones({call.rows.rows}, at::kDouble);
    cpu::row_log_probs_and_gradient(call.rows, row_labels, {0, call.rows.rows}, pass.statistics(),
                                    ones.data_ptr<double>(), out, MaskedRows::zero, ParallelFor());
    step(0, pairs);
    result.row_scale = coefficient;
  } else {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const RowSelection rows = call.pairs.rows.select(i, i + 1);
      cpu::row_log_probs(call.rows, row_labels, rows, pass.statistics(), ParallelFor());
      step(i, i + 1);
      cpu::row_gradient(call.rows, row_labels, rows, pass.lse_others.data_ptr<double>(),
                        coefficient.data_ptr<double>(), out, MaskedRows::zero, ParallelFor());
    }
    const auto others = call.pairs.rows.others(call.rows.rows);
    cpu::row_gradient(call.rows, row_labels, {0, std::ssize(others), others.data()},
                      pass.lse_others.data_ptr<double>(), coefficient.data_ptr<double>(), out,
                      MaskedRows::zero, ParallelFor());
  }
  if (how.gradient_in_place) torch::autograd::impl::bump_version(logits);
  const auto dtype = loss_type({logits});
  result.output = {at::scalar_tensor(sum.total(loss), dtype),
                   record_of_answers(call.pairs, options, controls, kept.rows, policy, loss,
                                     pass.logit_sum, call.rows.vocab, sum, dtype)};
  return result;
}

}  // namespace detail

Tensor shift_for_causal_lm(const Tensor& labels, std::int64_t ignore_index) {
  TORCH_CHECK(labels.defined() && labels.dim() == 2 && labels.scalar_type() == at::kLong,
              "sp2dpo::shift_for_causal_lm: labels must be int64 [S, T]");
  const Tensor shifted = at::full_like(labels, ignore_index);
  if (const std::int64_t length = labels.size(1); length > 1)
    shifted.narrow(1, 0, length - 1).copy_(labels.narrow(1, 1, length - 1));
  return shifted;
}

}  // namespace sp2dpo
