// SPDX-License-Identifier: Apache-2.0
#include "logits.hpp"

#include <array>
#include <cstdint>
#include <utility>

#include "fields.hpp"
#include "memory_overlap.hpp"
#include "own_types.hpp"
#include "pairs.hpp"
#include "reference.hpp"
#include "uninitialized.hpp"
#include "upload.hpp"
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// The pair of each row, for an upstream gradient by pair. Rows of no pair have the coefficient 0,
/// so any pair will do.
Tensor pairs_of_rows(const PairRows& pairs, std::int64_t row_count) {
  const Tensor pair = at::zeros({row_count}, at::kLong);
  for (std::int64_t i = 0; i < pairs.pairs(); ++i) {
    const RowSelection rows = pairs.select(i, i + 1);
    for (std::int64_t row = 0; row < rows.count; ++row)
      pair.data_ptr<std::int64_t>()[rows[row]] = i;
  }
  return pair;
}

/// The gradient pass, which writes to where the options say.
struct RowGradient final : LogitsBackward {
  explicit RowGradient(const LogitsCall& call)
      : backend(call.backend),
        ignore_index(call.pairs.ignore_index),
        vocab(call.rows.vocab),
        buffer(call.arguments.how.gradient_buffer),
        in_place(call.arguments.how.gradient_in_place) {}

  [[nodiscard]] Tensor out(const Tensor& logits) const {
    if (in_place) return logits.detach();
    return buffer.defined() ? buffer
                            : uninitialized(logits.sizes(), logits.scalar_type(), logits.device());
  }

  [[nodiscard]] Tensor operator()(const Tensor& logits, const Tensor& labels,
                                  const Tensor& lse_others,
                                  const Tensor& coefficient) const override {
    const OwnTypes own_types;
    const Tensor gradient = out(logits);
    const Tensor dense = coefficient.contiguous();
    backend->row_gradient(logit_rows("logits", logits, vocab),
                          {labels.data_ptr<std::int64_t>(), ignore_index}, data_of(lse_others),
                          data_of(dense), gradient_rows(gradient));
    mark_overwritten(logits);
    return gradient;
  }

  /// Makes any other node that saved what was overwritten raise, instead of computing with a
  /// gradient.
  void mark_overwritten(const Tensor& logits) const {
    if (in_place) mark_written(logits);
    if (buffer.defined()) mark_written(buffer);
  }

  std::shared_ptr<const Backend> backend;
  std::int64_t ignore_index, vocab;
  Tensor buffer;
  bool in_place;
};

/// The tensors that backward reads; members that no gradient needs are undefined.
struct SavedLogits {
  Tensor logits, labels, lse_others, coefficient, pair_of_row, d_beta, d_margin;

  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.logits,      &self.labels, &self.lse_others, &self.coefficient,
                      &self.pair_of_row, &self.d_beta, &self.d_margin};
  }
};

/// The arguments of LogitsLoss apart from its variables.
struct LogitsRun {
  const Tensor& labels;
  const std::function<LogitsParts()>& forward;
  const c10::intrusive_ptr<LogitsBackward>& backward;
  LogitsParts parts{};
};

struct LogitsLoss : torch::autograd::Function<LogitsLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& logits,
                        const c10::optional<Tensor>& /*beta*/,
                        const c10::optional<Tensor>& /*margin*/, LogitsRun& run,
                        const std::array<bool, 3>& needs) {
    const at::AutoDispatchBelowADInplaceOrView below;
    run.parts = run.forward();
    const auto [needs_logits, needs_beta, needs_margin] = needs;
    SavedLogits saved;
    if (needs_logits)
      saved = {
          logits, run.labels, run.parts.lse_others, run.parts.coefficient, run.parts.pair_of_row,
          {},     {}};
    if (needs_beta) saved.d_beta = run.parts.d_beta;
    if (needs_margin) saved.d_margin = run.parts.d_margin;
    ctx->save_for_backward(pack(saved));
    ctx->saved_data["pass"] = c10::IValue::make_capsule(run.backward);
    return run.parts.loss;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is available from "
                "log-probabilities only, not from logits");
    const auto saved = unpack<SavedLogits>(ctx->get_saved_variables());
    const Tensor scale = upstream[0].to(at::kDouble);
    Tensor d_logits, d_beta, d_margin;
    if (saved.d_beta.defined()) d_beta = saved.d_beta * scale;
    if (saved.d_margin.defined()) d_margin = saved.d_margin * scale;
    if (saved.logits.defined()) {
      const auto pass =
          c10::static_intrusive_pointer_cast<LogitsBackward>(ctx->saved_data["pass"].toCapsule());
      const Tensor by_row = scale.dim() == 0 ? scale : scale.index_select(0, saved.pair_of_row);
      // Selected, since 0 · NaN would give a gradient to rows that do not count.
      const Tensor coefficient =
          at::where(saved.coefficient == 0, saved.coefficient, saved.coefficient * by_row);
      d_logits = (*pass)(saved.logits, saved.labels, saved.lse_others, coefficient);
    }
    return {d_logits, d_beta, d_margin, /*run*/ {}, /*needs*/ {}};
  }
};

void check_gradient_place(const LogitsOptions& how, const Tensor& logits) {
  const Tensor& buffer = how.gradient_buffer;
  if (how.gradient_in_place) check_written_once("logits, with gradient_in_place,", logits);
  if (!buffer.defined()) return;
  TORCH_CHECK(!how.gradient_in_place,
              "sp2dpo::Loss: gradient_in_place and gradient_buffer exclude each other");
  TORCH_CHECK(buffer.sizes() == logits.sizes() && buffer.scalar_type() == logits.scalar_type() &&
                  buffer.device() == logits.device() &&
                  (buffer.stride(-1) == 1 || buffer.size(-1) == 1),
              "sp2dpo::Loss: gradient_buffer must be ", logits.scalar_type(), " ", logits.sizes(),
              " with a dense last dimension, not ", buffer.scalar_type(), " ", buffer.sizes());
  TORCH_CHECK(!buffer.requires_grad(), "sp2dpo::Loss: gradient_buffer itself requires a gradient");
  check_written_once("gradient_buffer", buffer);
  check_apart("gradient_buffer", buffer, "the logits (set gradient_in_place to overwrite them)",
              logits);
}

}  // namespace

LogitsCall::LogitsCall(const AnyObjective& objective_, const LossOptions& options_,
                       const detail::LogitsArguments& arguments_)
    : objective(objective_),
      options(options_),
      arguments(arguments_),
      backend(backend_of("logits", arguments.logits)),
      rows(logit_rows("logits", arguments.logits, arguments.how.vocab_size)),
      dtype(loss_type({arguments.logits})),
      pairs("logits", arguments.logits, arguments.labels, arguments.how.layout, options) {
  const OwnTypes own_types;
  check_controls(arguments.controls, pairs.pairs(), arguments.logits.device());
  check_objective(objective, options, arguments.controls);
  backend->check_labels(rows, pairs.row_labels());
  reference = reference_log_probs(*backend, arguments.reference, arguments.logits, pairs,
                                  {.average = averages(objective, options),
                                   .columns = arguments.logits.size(-1),
                                   .vocab_size = arguments.how.vocab_size});
  check_gradient_place(arguments.how, arguments.logits);
}

LogitsParts logits_forward(const LogitsCall& call) {
  const OwnTypes own_types;
  LogitsResult result = call.backend->logits_loss(call.job(), call.sequences());
  const auto device = call.arguments.logits.device();
  const Tensor pair = call.options.reduction == Reduction::none
                          ? uploaded(pairs_of_rows(call.pairs.rows, call.rows.rows), device)
                          : at::empty({0}, at::TensorOptions(device).dtype(at::kLong));
  const Tensor& columns = result.record.columns;
  return {.loss = std::move(result.loss),
          .lse_others = result.lse_others,
          .coefficient = result.coefficient,
          .pair_of_row = pair,
          .d_beta = columns.select(0, d_beta_column),
          .d_margin = columns.select(0, d_margin_column),
          .record = std::move(result.record)};
}

LogitsParts with_gradient(const LogitsVariables& x, const Tensor& labels,
                          const std::function<LogitsParts()>& forward,
                          const c10::intrusive_ptr<LogitsBackward>& backward) {
  LogitsRun run{labels, forward, backward};
  const std::array needs{asks_for_gradient(x.logits), asks_for_gradient(x.beta),
                         asks_for_gradient(x.margin)};
  run.parts.loss = LogitsLoss::apply(x.logits, given(x.beta), given(x.margin), run, needs);
  return std::move(run.parts);
}

namespace detail {

LossOutput loss_of_logits(const AnyObjective& objective, const LossOptions& options,
                          const LogitsArguments& arguments) {
  const LogitsCall call(objective, options, arguments);
  const Controls& controls = arguments.controls;
  LogitsParts parts = with_gradient(
      {arguments.logits, controls.beta.tensor, controls.margin.tensor}, call.pairs.labels,
      [&] { return logits_forward(call); }, c10::make_intrusive<RowGradient>(call));
  return {std::move(parts.loss), std::move(parts.record)};
}

LogitsGradient value_and_grad_of_logits(const AnyObjective& objective, const LossOptions& options,
                                        const LogitsArguments& arguments, bool unit) {
  TORCH_CHECK(options.reduction != Reduction::none,
              "sp2dpo::Loss: value_and_grad gives the gradient of the reduced loss, but "
              "the reduction is Reduction::none");
  const c10::NoGradGuard no_grad;
  const LogitsCall call(objective, options, arguments);
  const RowGradient place(call);
  const Tensor gradient = place.out(arguments.logits);
  LogitsJob job = call.job();
  job.gradient = gradient_rows(gradient);
  const auto float64 = at::TensorOptions(gradient.device()).dtype(at::kDouble);
  const Tensor ones = unit ? at::ones({call.rows.rows}, float64) : Tensor();
  job.unit = data_of(ones);
  LogitsResult result = call.backend->logits_loss(job, call.sequences());
  place.mark_overwritten(arguments.logits);
  return {{std::move(result.loss), std::move(result.record)},
          gradient,
          unit ? result.coefficient : Tensor()};
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
