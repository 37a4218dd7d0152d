// SPDX-License-Identifier: Apache-2.0
#include "logits.hpp"

#include <array>
#include <cstdint>
#include <utility>

#include "on_cuda.hpp"
#include "on_device.hpp"
#include "pairs.hpp"
#include "reference.hpp"
#include "sequences.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// The step between the two passes over the rows.
struct PairStep {
  explicit PairStep(const LogitsCall& call_)
      : call(call_),
        table(call.pairs.pairs(), at::kCPU),
        loss(call.loss(table.outputs)),
        policy(uninitialized({2, call.pairs.pairs()}, at::kDouble)),
        coefficient(at::zeros({call.rows.rows}, at::kDouble)) {}

  /// For the pairs in [begin, end), whose rows have been passed over.
  void operator()(const RowPass& pass, std::int64_t begin, std::int64_t end) {
    sequence_step(loss, begin, end, pass.log_prob.data_ptr<double>(),
                  row_of(policy, PairRows::chosen), row_of(policy, PairRows::rejected), sum);
    row_coefficients(loss, begin, end, table.values(d_chosen_row), table.values(d_rejected_row),
                     1.0, coefficient.data_ptr<double>());
  }

  [[nodiscard]] Tensor reduced_loss() const {
    return reduced(call.options, table.rows, sum.total(loss), call.dtype);
  }
  [[nodiscard]] detail::PairRecord record(const RowPass& pass) const {
    return record_of_answers(call.pairs, call.options, call.controls, table.rows, policy, loss,
                             pass.logit_sum, call.rows.vocab, sum, call.dtype);
  }

  const LogitsCall& call;
  PairTable table;
  SequenceLoss loss;
  Tensor policy;
  Tensor coefficient;
  LossSum sum;
};

/// For an upstream gradient by pair. Rows of no pair have the coefficient 0, so any will do.
Tensor pair_of_row(const LogitsCall& call) {
  const Tensor pair = at::zeros({call.rows.rows}, at::kLong);
  for (std::int64_t i = 0; i < call.pairs.pairs(); ++i) {
    const RowSelection rows = call.pairs.rows.select(i, i + 1);
    for (std::int64_t row = 0; row < rows.count; ++row)
      pair.data_ptr<std::int64_t>()[rows[row]] = i;
  }
  return pair;
}

/// The gradient pass at once, to where the options say.
struct RowGradient final : LogitsBackward {
  explicit RowGradient(const LogitsCall& call)
      : ignore_index(call.pairs.ignore_index),
        vocab(call.rows.vocab),
        buffer(call.how.gradient_buffer),
        in_place(call.how.gradient_in_place) {}

  [[nodiscard]] Tensor out(const Tensor& logits) const {
    if (in_place) return logits.detach();
    return buffer.defined() ? buffer
                            : uninitialized(logits.sizes(), logits.scalar_type(), logits.device());
  }

  [[nodiscard]] Tensor operator()(const Tensor& logits, const Tensor& labels,
                                  const Tensor& lse_others,
                                  const Tensor& coefficient) const override {
    const Tensor gradient = out(logits);
    row_gradient(logit_rows("logits", logits, vocab),
                 {labels.data_ptr<std::int64_t>(), ignore_index}, lse_others, coefficient,
                 gradient);
    mark_overwritten(logits);
    return gradient;
  }

  /// Whatever else saved the logits raises from now on, instead of computing with a gradient.
  void mark_overwritten(const Tensor& logits) const {
    if (in_place) torch::autograd::impl::bump_version(logits);
  }

  std::int64_t ignore_index, vocab;
  Tensor buffer;
  bool in_place;
};

struct LogitsLoss : torch::autograd::Function<LogitsLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& logits,
                        const c10::optional<Tensor>& /*beta*/,
                        const c10::optional<Tensor>& /*margin*/, const std::array<bool, 3>& needs,
                        const Tensor& labels, const std::function<LogitsParts()>& run,
                        const c10::intrusive_ptr<LogitsBackward>& pass, LogitsParts& parts) {
    const at::AutoDispatchBelowADInplaceOrView below;
    parts = run();
    tensor_list saved(5);
    if (needs[0]) saved = {logits, labels, parts.lse_others, parts.coefficient, parts.pair_of_row};
    saved.push_back(needs[1] ? parts.beta : Tensor());
    saved.push_back(needs[2] ? parts.margin : Tensor());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["pass"] = c10::IValue::make_capsule(pass);
    return parts.loss;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is available from "
                "log-probabilities only, not from logits");
    const auto saved = ctx->get_saved_variables();
    const Tensor scale = upstream[0].to(at::kDouble);
    tensor_list gradient(8);
    if (saved[5].defined()) gradient[1] = saved[5] * scale;
    if (saved[6].defined()) gradient[2] = saved[6] * scale;
    if (!saved[0].defined()) return gradient;
    const auto& coefficient = saved[3];
    const auto pass =
        c10::static_intrusive_pointer_cast<LogitsBackward>(ctx->saved_data["pass"].toCapsule());
    gradient[0] =
        (*pass)(saved[0], saved[1], saved[2],
                coefficient * (scale.dim() == 0 ? scale : scale.index_select(0, saved[4])));
    return gradient;
  }
};

}  // namespace

RowPass::RowPass(const LogitsCall& call)
    : log_prob(at::zeros({call.rows.rows}, at::TensorOptions(call.device).dtype(at::kDouble))),
      lse_others(at::zeros_like(log_prob)) {
  if (call.options.mean_logits) logit_sum = at::zeros_like(log_prob);
  if (!call.device.is_cpu()) bad_row = at::full({}, -1, log_prob.options().dtype(at::kLong));
}

LogitsCall::LogitsCall(const AnyObjective& objective_, const LossOptions& options_,
                       const Tensor& logits, const Tensor& labels, const Reference& reference_,
                       const Controls& controls_, const LogitsOptions& how_)
    : objective(objective_),
      options(options_),
      controls(controls_),
      how(how_),
      rows(logit_rows("logits", logits, how.vocab_size)),
      device(logits.device()),
      dtype(loss_type({logits})),
      pairs("logits", logits, labels, how.layout, options) {
  check_controls(controls, pairs.pairs(), device);
  check_objective(objective, options, controls);
  if (device.is_cpu())
    as_torch_errors([&] { cpu::check_rows(rows, pairs.row_labels(), {0, rows.rows}); });
  reference = reference_answers(reference_, logits, pairs, averages(objective, options),
                                how.vocab_size, {});
  TORCH_CHECK(!how.gradient_in_place || !how.gradient_buffer.defined(),
              "sp2dpo::Loss: the gradient goes in place or to gradient_buffer, not to both");
  if (!how.gradient_buffer.defined()) return;
  const Tensor& buffer = how.gradient_buffer;
  TORCH_CHECK(buffer.sizes() == logits.sizes() && buffer.scalar_type() == logits.scalar_type() &&
                  buffer.device() == logits.device() &&
                  (buffer.stride(-1) == 1 || buffer.size(-1) == 1),
              "sp2dpo::Loss: gradient_buffer must be ", logits.scalar_type(), " ", logits.sizes(),
              " with a dense last dimension, not ", buffer.scalar_type(), " ", buffer.sizes());
  TORCH_CHECK(!buffer.requires_grad(), "sp2dpo::Loss: gradient_buffer asks for a gradient itself");
}

LogitsParts logits_forward(const LogitsCall& call) {
  const RowPass pass(call);
  const std::int64_t pairs = call.pairs.pairs();
  const bool by_pair = call.options.reduction == Reduction::none;
  const Tensor pair = by_pair ? pair_of_row(call).to(call.device)
                              : at::empty({0}, at::TensorOptions(call.device).dtype(at::kLong));
  if (!call.device.is_cpu()) {
    row_log_probs(call.rows, call.pairs.row_labels(), pass.statistics(), pass.bad_row);
    on_device::PairStep step(call, pass);
    return {.loss = step.reduced_loss,
            .lse_others = pass.lse_others,
            .coefficient = step.coefficient,
            .pair_of_row = pair,
            .beta = step.table.rows.select(0, d_beta_row),
            .margin = step.table.rows.select(0, d_margin_row),
            .record = std::move(step.record)};
  }
  cpu::row_log_probs(call.rows, call.pairs.row_labels(), call.pairs.rows.select(0, pairs),
                     pass.statistics(), ParallelFor());
  PairStep step(call);
  step(pass, 0, pairs);
  return {.loss = step.reduced_loss(),
          .lse_others = pass.lse_others,
          .coefficient = step.coefficient,
          .pair_of_row = pair,
          .beta = step.table.rows.select(0, d_beta_row),
          .margin = step.table.rows.select(0, d_margin_row),
          .record = step.record(pass)};
}

LogitsParts with_gradient(const Tensor& logits, const Tensor& labels, const Tensor& beta,
                          const Tensor& margin, const std::function<LogitsParts()>& forward,
                          const c10::intrusive_ptr<LogitsBackward>& backward) {
  LogitsParts parts;
  parts.loss = LogitsLoss::apply(
      logits, given(beta), given(margin),
      std::array{asks_for_gradient(logits), asks_for_gradient(beta), asks_for_gradient(margin)},
      labels, forward, backward, parts);
  return parts;
}

void row_log_probs(const LogitRows& rows, const RowLabels& labels, const RowStatistics& out,
                   const Tensor& bad_row) {
  if (bad_row.defined())
    on_cuda::row_log_probs(rows, labels, out, bad_row);
  else
    as_torch_errors([&] { cpu::row_log_probs(rows, labels, {0, rows.rows}, out, ParallelFor()); });
}

void row_gradient(const LogitRows& rows, const RowLabels& labels, const Tensor& lse_others,
                  const Tensor& coefficient, const Tensor& out) {
  const Tensor dense = coefficient.contiguous();
  const auto* const lse = lse_others.data_ptr<double>();
  const auto* const slope = dense.data_ptr<double>();
  const GradientRows gradient{out.data_ptr(), row_layout(out)};
  if (out.is_cpu())
    cpu::row_gradient(rows, labels, {0, rows.rows}, lse, slope, gradient, MaskedRows::zero,
                      ParallelFor());
  else
    on_cuda::row_gradient(rows, labels, lse, slope, gradient, out.device());
}

void row_log_probs_and_gradient(const LogitRows& rows, const RowLabels& labels,
                                const RowStatistics& out, const Tensor& coefficient,
                                const Tensor& gradient, const Tensor& bad_row) {
  const Tensor dense = coefficient.contiguous();
  const auto* const slope = dense.data_ptr<double>();
  const GradientRows to{gradient.data_ptr(), row_layout(gradient)};
  if (bad_row.defined())
    on_cuda::row_log_probs_and_gradient(rows, labels, out, slope, to, bad_row);
  else
    as_torch_errors([&] {
      cpu::row_log_probs_and_gradient(rows, labels, {0, rows.rows}, out, slope, to,
                                      MaskedRows::zero, ParallelFor());
    });
}

LogitRows logit_rows(const char* name, const Tensor& logits,
                     const std::optional<std::int64_t>& vocab_size) {
  check_rows_tensor(name, logits);
  TORCH_CHECK(logits.is_cpu() || logits.is_cuda(), "sp2dpo::Loss: ", name, " is on ",
              logits.device(), ", where the loss from logits does not run");
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
  TORCH_CHECK(pairs.labels.device() == policy.device(),
              "sp2dpo::Loss: reference.logits want the "
              "labels on ",
              policy.device(), " as they are, not on ", pairs.labels.device());
  TORCH_CHECK(reference.logits.device() == policy.device(), "sp2dpo::Loss: reference.logits must ",
              "be on ", policy.device(), " as the policy's are, not on ",
              reference.logits.device());
  const Tensor log_prob =
      at::zeros({rows.rows}, at::TensorOptions(policy.device()).dtype(at::kDouble));
  if (!policy.is_cpu()) {
    // Labels out of range are found in the policy's pass.
    row_log_probs(rows, pairs.row_labels(), {.log_prob = log_prob.data_ptr<double>()},
                  at::full({}, -1, log_prob.options().dtype(at::kLong)));
    return on_device::SequenceSums(pairs, log_prob, average, /*empty_allowed=*/true).log_probs;
  }
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
  LogitsParts parts = with_gradient(
      logits, call.pairs.labels, controls.beta.tensor, controls.margin.tensor,
      [&] { return logits_forward(call); }, c10::make_intrusive<RowGradient>(call));
  return {std::move(parts.loss), std::move(parts.record)};
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
  const RowGradient place(call);
  const RowPass pass(call);
  const Tensor gradient = place.out(logits);
  const GradientRows out{gradient.data_ptr(), row_layout(gradient)};
  const RowLabels row_labels = call.pairs.row_labels();
  LogitsGradient result{{{}, {}}, gradient, {}};
  if (unit)
    row_log_probs_and_gradient(call.rows, row_labels, pass.statistics(),
                               at::ones_like(pass.log_prob), gradient, pass.bad_row);
  if (!call.device.is_cpu()) {
    if (!unit) row_log_probs(call.rows, row_labels, pass.statistics(), pass.bad_row);
    on_device::PairStep device_step(call, pass);
    if (unit)
      result.row_scale = device_step.coefficient;
    else
      row_gradient(call.rows, row_labels, pass.lse_others, device_step.coefficient, gradient);
    place.mark_overwritten(logits);
    result.output = {std::move(device_step.reduced_loss), std::move(device_step.record)};
    return result;
  }
  PairStep step(call);
  if (unit) {
    step(pass, 0, pairs);
    result.row_scale = step.coefficient;
  } else {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const RowSelection rows = call.pairs.rows.select(i, i + 1);
      cpu::row_log_probs(call.rows, row_labels, rows, pass.statistics(), ParallelFor());
      step(pass, i, i + 1);
      cpu::row_gradient(call.rows, row_labels, rows, pass.lse_others.data_ptr<double>(),
                        step.coefficient.data_ptr<double>(), out, MaskedRows::zero, ParallelFor());
    }
    const auto others = call.pairs.rows.others(call.rows.rows);
    cpu::row_gradient(call.rows, row_labels, {0, std::ssize(others), others.data()},
                      pass.lse_others.data_ptr<double>(), step.coefficient.data_ptr<double>(), out,
                      MaskedRows::zero, ParallelFor());
  }
  place.mark_overwritten(logits);
  result.output = {step.reduced_loss(), step.record(pass)};
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
