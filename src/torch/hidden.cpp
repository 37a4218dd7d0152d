// SPDX-License-Identifier: Apache-2.0
#include "hidden.hpp"

#include <algorithm>
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
#include <torch/csrc/autograd/graph_task.h>
#include <torch/version.h>

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

#if TORCH_VERSION_MAJOR < 2
/// libtorch 1.13 adds up products of 16-bit numbers in 16 bits, and slowly; but bfloat16 ones in
/// float32, where oneDNN does it.
bool is_good_at(DType dtype) {
  if (dtype != DType::float16 && dtype != DType::bfloat16) return true;
#ifdef __x86_64__
  static const bool has_onednn = at::hasMKLDNN() && __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl") &&
                                 __builtin_cpu_supports("avx512dq");
  return dtype == DType::bfloat16 && has_onednn && at::globalContext().userEnabledMkldnn();
#else
  return false;
#endif
}
#endif

/// libtorch's matrix product.
constexpr auto product = [](const cpu::MatrixProduct::Operand& a,
                            const cpu::MatrixProduct::Operand& b, const Matrix& out, bool add) {
  const auto type = [](DType dtype) {
    constexpr std::array types{at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};
    return types[static_cast<std::size_t>(dtype)];
  };
  const auto tensor = [&](const auto& matrix) {
    return at::from_blob(const_cast<void*>(static_cast<const void*>(matrix.data)),
                         {matrix.rows, matrix.columns}, {matrix.stride, 1},
                         at::TensorOptions(type(matrix.dtype)));
  };
  const auto operand = [&](const cpu::MatrixProduct::Operand& x) {
    const Tensor t = tensor(x.matrix);
    return x.transposed ? t.t() : t;
  };
  Tensor result = tensor(out);
#if TORCH_VERSION_MAJOR < 2
  if (!is_good_at(out.dtype)) {
    const Tensor whole = at::mm(operand(a).to(at::kFloat), operand(b).to(at::kFloat));
    result.copy_(add ? whole.add_(result) : whole);
    return;
  }
#endif
  if (add)
    at::addmm_out(result, result, operand(a), operand(b));
  else
    at::mm_out(result, operand(a), operand(b));
};

template <class M = ConstMatrix>
M matrix_of(const Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.size(0), tensor.size(1), tensor.stride(0)};
}

void check_reference_rows(const Tensor& reference, const Tensor& policy) {
  TORCH_CHECK(row_shape(reference) == row_shape(policy), "sp2dpo::Loss: reference.hidden ",
              reference.sizes(), " must have the rows of the policy's ", policy.sizes());
  TORCH_CHECK(reference.device() == policy.device(), "sp2dpo::Loss: reference.hidden must be on ",
              policy.device(), " as the policy is, not on ", reference.device());
}

/// Hidden states and head, checked: rows [R, H] of one element type.
struct HiddenHead {
  HiddenHead(const char* name, const Tensor& given_hidden, const Tensor& head_weight,
             const Tensor& head_bias, const std::optional<std::int64_t>& vocab_size, bool precise) {
    check_rows_tensor(name, given_hidden);
    TORCH_CHECK(given_hidden.is_cpu() || given_hidden.is_cuda(), "sp2dpo::Loss: ", name, " is on ",
                given_hidden.device(), ", where the loss from hidden states does not run");
    TORCH_CHECK(head_weight.defined() && head_weight.dim() == 2 &&
                    head_weight.size(1) == given_hidden.size(-1) &&
                    head_weight.scalar_type() == given_hidden.scalar_type() &&
                    head_weight.device() == given_hidden.device(),
                "sp2dpo::Loss: the head's weight must be ", given_hidden.scalar_type(), " [V, ",
                given_hidden.size(-1), "] on ", given_hidden.device(), " beside ", name, " ",
                given_hidden.sizes(), ", not ",
                head_weight.defined() ? head_weight.toString() : "undefined", " ",
                head_weight.defined() ? head_weight.sizes() : at::IntArrayRef());
    const std::int64_t columns = head_weight.size(0);
    const std::int64_t vocab = vocab_size.value_or(columns);
    TORCH_CHECK(0 < vocab && vocab <= columns, "sp2dpo::Loss: vocab_size ", vocab,
                " must lie in [1, ", columns, "], the rows of the head's weight");
    const auto compute = precise && given_hidden.scalar_type() != at::kDouble
                             ? at::kFloat
                             : given_hidden.scalar_type();
    hidden = given_hidden.detach().reshape({-1, given_hidden.size(-1)}).to(compute).contiguous();
    head = head_weight.detach().narrow(0, 0, vocab).to(compute).contiguous();
    if (!head_bias.defined()) return;
    TORCH_CHECK(head_bias.dim() == 1 && head_bias.size(0) == columns &&
                    head_bias.scalar_type() == head_weight.scalar_type() &&
                    head_bias.device() == head_weight.device(),
                "sp2dpo::Loss: the head's bias must be ", head_weight.scalar_type(), " [", columns,
                "] as its weight ", head_weight.sizes(), " on ", head_weight.device(), ", not ",
                head_bias.scalar_type(), " ", head_bias.sizes(), " on ", head_bias.device());
    bias = head_bias.detach().narrow(0, 0, vocab).to(compute).contiguous();
  }

  [[nodiscard]] at::Device device() const { return hidden.device(); }

  [[nodiscard]] HiddenRows rows(const LabelledPairs& pairs) {
    labels = pairs.labels.to(device());
    return {.hidden = matrix_of(hidden),
            .head = matrix_of(head),
            .bias = bias.defined() ? bias.data_ptr() : nullptr,
            .labels = {labels.data_ptr<std::int64_t>(), pairs.ignore_index}};
  }

  /// How many rows are taken at a time; with a reference's beside them, on a device.
  [[nodiscard]] std::int64_t chunk_rows(const HiddenRows& rows,
                                        const std::optional<std::int64_t>& workspace_bytes,
                                        bool with_reference = false) const {
    constexpr std::int64_t on_cpu = std::int64_t{256} << 20, elsewhere = std::int64_t{1} << 30;
    const std::int64_t bytes = workspace_bytes.value_or(device().is_cpu() ? on_cpu : elsewhere);
    TORCH_CHECK(bytes > 0, "sp2dpo::Loss: workspace_bytes must be > 0, not ", bytes);
    return device().is_cpu() ? cpu::hidden_chunk_rows(rows, bytes)
                             : on_cuda::hidden_chunk_rows(rows, bytes, with_reference, device());
  }

  Tensor hidden, head, bias;
  Tensor labels;  // where the rest is
};

/// The reference's hidden states, where its head is the policy's own (LoRA) and both are on a
/// device: there they go through the same products. Otherwise undefined.
Tensor hidden_under_the_same_head(const Reference& reference, const Tensor& hidden,
                                  const Tensor& head_weight, const Tensor& head_bias,
                                  const HiddenOptions& how) {
  const auto* const given = std::get_if<ReferenceHidden>(&reference);
  const auto same = [](const Tensor& a, const Tensor& b) {
    return a.defined() == b.defined() &&
           (!a.defined() ||
            (a.data_ptr() == b.data_ptr() && a.sizes() == b.sizes() && a.strides() == b.strides()));
  };
  if (given == nullptr || hidden.is_cpu() || how.precise ||
      !same(given->head_weight, head_weight) || !same(given->head_bias, head_bias))
    return {};
  const HiddenHead there("reference.hidden", given->hidden, head_weight, head_bias, how.vocab_size,
                         false);
  check_reference_rows(given->hidden, hidden);
  return there.hidden;
}

/// Memory for chunks of so many rows, on the CPU.
Tensor chunk_memory(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows) {
  return uninitialized({static_cast<std::int64_t>(cpu::hidden_workspace(rows, pairs, chunk_rows))},
                       at::kByte);
}

struct HiddenLoss : torch::autograd::Function<HiddenLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& /*hidden*/,
                        const Tensor& /*head_weight*/, const c10::optional<Tensor>& /*head_bias*/,
                        const c10::optional<Tensor>& /*beta*/,
                        const c10::optional<Tensor>& /*margin*/, const HiddenNeeds& needs,
                        const std::function<HiddenParts()>& run, HiddenParts& parts) {
    {
      const at::AutoDispatchBelowADInplaceOrView below;
      parts = run();
    }
    tensor_list saved{parts.hidden, parts.head_weight, parts.head_bias, parts.beta, parts.margin};
    for (std::size_t i = 0; i < needs.size(); ++i)
      if (!needs[i]) saved[i] = Tensor();
    ctx->save_for_backward(std::move(saved));
    return parts.loss;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is available from "
                "log-probabilities only, not from hidden states");
    tensor_list gradient = ctx->get_saved_variables();
    const bool last = !torch::autograd::get_current_graph_task_keep_graph();
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      Tensor& slope = gradient[i];
      if (!slope.defined()) continue;
      // A copy of the head's gradient would take longer than the products save on half the rows.
      // Those of beta and margin, the last two, are rows of the record.
      const Tensor scale = upstream[0].to(slope.scalar_type());
      slope = last && i < 3 ? slope.mul_(scale) : slope * scale;
    }
    gradient.resize(8);
    return gradient;
  }
};

/// Loss and record, and the gradients that `rows` names.
void loss_on_cpu(const AnyObjective& objective, const LossOptions& options,
                 const Controls& controls, const LabelledPairs& pairs, const Tensor& reference,
                 const HiddenRows& rows, std::int64_t chunk_rows, at::ScalarType dtype,
                 HiddenParts& result) {
  const std::int64_t count = pairs.pairs();
  PairTable kept(count, at::kCPU);
  const SequenceLoss loss =
      sequence_loss(pairs, objective, options, controls, reference, kept.outputs);
  const std::int64_t row_count = rows.hidden.rows;
  const Tensor log_prob = at::zeros({row_count}, at::kDouble);
  const Tensor logit_sum = options.mean_logits ? at::zeros({row_count}, at::kDouble) : Tensor();
  const Tensor coefficient = at::zeros({row_count}, at::kDouble);
  const Tensor policy = uninitialized({2, count}, at::kDouble);
  const LossSum sum = as_torch_errors([&] {
    return cpu::hidden_loss(
        rows, loss, chunk_rows, chunk_memory(rows, pairs.rows, chunk_rows).data_ptr(),
        {.rows = {.log_prob = log_prob.data_ptr<double>(),
                  .logit_sum = logit_sum.defined() ? logit_sum.data_ptr<double>() : nullptr},
         .policy_chosen = row_of(policy, PairRows::chosen),
         .policy_rejected = row_of(policy, PairRows::rejected),
         .d_chosen = row_of(kept.rows, d_chosen_row),
         .d_rejected = row_of(kept.rows, d_rejected_row),
         .coefficient = coefficient.data_ptr<double>()},
        product, ParallelFor());
  });

  result.loss = reduced(options, kept.rows, sum.total(loss), dtype);
  result.record = record_of_answers(pairs, options, controls, kept.rows, policy, loss, logit_sum,
                                    rows.head.rows, sum, dtype);
}

}  // namespace

HiddenParts hidden_forward(const AnyObjective& objective, const LossOptions& options,
                           const Tensor& hidden, const Tensor& head_weight, const Tensor& head_bias,
                           const Tensor& labels, const Reference& reference,
                           const Controls& controls, const HiddenOptions& how,
                           const HiddenNeeds& needs, HeadGradient head_gradient) {
  const c10::NoGradGuard no_grad;
  HiddenHead model("hidden", hidden, head_weight, head_bias, how.vocab_size, how.precise);
  const at::Device device = model.device();
  const LabelledPairs pairs("hidden", hidden, labels, how.layout, options, /*or_on_cpu=*/true);
  const std::int64_t count = pairs.pairs();
  check_controls(controls, count, device);
  check_objective(objective, options, controls);
  const Tensor reference_hidden =
      hidden_under_the_same_head(reference, hidden, head_weight, head_bias, how);
  const Tensor reference_sums =
      reference_hidden.defined()
          ? Tensor()
          : reference_answers(reference, hidden, pairs, averages(objective, options),
                              how.vocab_size, how.workspace_bytes);

  const auto sum_type = loss_type({model.head});
  HiddenParts result;
  HiddenRows rows = model.rows(pairs);
  const std::int64_t chunk_rows =
      model.chunk_rows(rows, how.workspace_bytes, reference_hidden.defined());
  Tensor d_hidden, d_head, d_bias;
  if (needs[0]) {
    d_hidden = uninitialized(model.hidden.sizes(), model.hidden.scalar_type(), device);
    rows.d_hidden = matrix_of<Matrix>(d_hidden);
  }
  if (how.main_grad.defined()) {
    const Tensor& sum = how.main_grad;
    TORCH_CHECK(sum.scalar_type() == sum_type && sum.sizes() == head_weight.sizes() &&
                    sum.device() == device && sum.stride(1) == 1,
                "sp2dpo::Loss: main_grad must be ", sum_type, " ", head_weight.sizes(), " on ",
                device, " with a dense last dimension, not ", sum.scalar_type(), " ", sum.sizes(),
                " on ", sum.device());
    d_head = sum.narrow(0, 0, model.head.size(0));
  } else if (needs[1]) {
    const bool one_chunk = std::ssize(pairs.rows.rows()) <= chunk_rows;
    const bool in_own_type = one_chunk && head_gradient == HeadGradient::rounded &&
                             model.head.scalar_type() == head_weight.scalar_type();
    result.head_weight = uninitialized(head_weight.sizes(),
                                       in_own_type ? head_weight.scalar_type() : sum_type, device);
    d_head = result.head_weight.narrow(0, 0, model.head.size(0));
    result.head_weight.narrow(0, model.head.size(0), head_weight.size(0) - model.head.size(0))
        .zero_();
  }
  rows.add = how.main_grad.defined();
  if (d_head.defined()) rows.d_head = matrix_of<Matrix>(d_head);
  if (needs[2]) {
    d_bias = at::zeros({head_weight.size(0)}, model.head.options().dtype(sum_type));
    result.head_bias = d_bias;
    rows.d_bias = matrix_of<Matrix>(d_bias.narrow(0, 0, model.head.size(0)).unsqueeze(0));
  }

  if (device.is_cpu()) {
    loss_on_cpu(objective, options, controls, pairs, reference_sums, rows, chunk_rows,
                loss_type({hidden}), result);
  } else {
    on_device::hidden_loss(rows, pairs, objective, options, controls, reference_sums,
                           reference_hidden.defined() ? matrix_of(reference_hidden) : ConstMatrix(),
                           chunk_rows, device, result);
  }
  if (needs[0]) result.hidden = d_hidden.to(hidden.scalar_type()).view(hidden.sizes());
  if (head_gradient == HeadGradient::rounded) {
    if (needs[1]) result.head_weight = result.head_weight.to(head_weight.scalar_type());
    if (needs[2]) result.head_bias = result.head_bias.to(head_bias.scalar_type());
  }
  result.beta = result.record.rows.select(0, d_beta_row);
  result.margin = result.record.rows.select(0, d_margin_row);
  return result;
}

HiddenNeeds needs_of(const HiddenVariables& x) {
  return {asks_for_gradient(x.hidden), asks_for_gradient(x.head_weight),
          asks_for_gradient(x.head_bias), asks_for_gradient(x.beta), asks_for_gradient(x.margin)};
}

HiddenParts with_gradient(const HiddenVariables& x, const HiddenNeeds& needs, Reduction reduction,
                          const std::function<HiddenParts()>& forward) {
  TORCH_CHECK(
      reduction != Reduction::none || std::ranges::count(needs, true) == 0,
      "sp2dpo::Loss: from hidden states only the reduced loss is differentiable; the reduction "
      "is none");
  HiddenParts parts;
  parts.loss = HiddenLoss::apply(x.hidden, x.head_weight, given(x.head_bias), given(x.beta),
                                 given(x.margin), needs, forward, parts);
  return parts;
}

Tensor hidden_answers(const ReferenceHidden& reference, const Tensor& policy,
                      const LabelledPairs& pairs, bool average,
                      const std::optional<std::int64_t>& vocab_size,
                      const std::optional<std::int64_t>& workspace_bytes) {
  HiddenHead model("reference.hidden", reference.hidden, reference.head_weight, reference.head_bias,
                   vocab_size, false);
  check_reference_rows(reference.hidden, policy);
  const HiddenRows rows = model.rows(pairs);
  const std::int64_t chunk_rows = model.chunk_rows(rows, workspace_bytes);
  if (!model.device().is_cpu())
    return on_device::hidden_answers(rows, pairs, average, chunk_rows, model.device());
  const Tensor log_prob = at::zeros({model.hidden.size(0)}, at::kDouble);
  as_torch_errors([&] {
    cpu::hidden_log_probs(rows, pairs.rows, chunk_rows,
                          chunk_memory(rows, pairs.rows, chunk_rows).data_ptr(),
                          {.log_prob = log_prob.data_ptr<double>()}, product, ParallelFor());
  });
  return answers(pairs, log_prob, average);
}

namespace detail {

LossOutput loss_of_hidden(const AnyObjective& objective, const LossOptions& options,
                          const Tensor& hidden, const Tensor& head_weight, const Tensor& head_bias,
                          const Tensor& labels, const Reference& reference,
                          const Controls& controls, const HiddenOptions& how) {
  const HiddenVariables variables{hidden, head_weight, head_bias, controls.beta.tensor,
                                  controls.margin.tensor};
  HiddenNeeds needs = needs_of(variables);
  if (how.main_grad.defined()) needs[1] = false;
  HiddenParts parts = with_gradient(variables, needs, options.reduction, [&] {
    return hidden_forward(objective, options, hidden, head_weight, head_bias, labels, reference,
                          controls, how, needs, HeadGradient::rounded);
  });
  return {std::move(parts.loss), std::move(parts.record)};
}

HiddenGradient value_and_grad_of_hidden(const AnyObjective& objective, const LossOptions& options,
                                        const Tensor& hidden, const Tensor& head_weight,
                                        const Tensor& head_bias, const Tensor& labels,
                                        const Reference& reference, const Controls& controls,
                                        const HiddenOptions& how, bool need_dw) {
  TORCH_CHECK(
      options.reduction != Reduction::none,
      "sp2dpo::Loss: value_and_grad gives the gradient of the reduced loss; the reduction is "
      "none");
  HiddenParts result = hidden_forward(
      objective, options, hidden, head_weight, head_bias, labels, reference, controls, how,
      {true, need_dw && !how.main_grad.defined(), need_dw && head_bias.defined(), false, false},
      HeadGradient::exact);
  return {{std::move(result.loss), std::move(result.record)},
          std::move(result.hidden),
          std::move(result.head_weight),
          std::move(result.head_bias)};
}

}  // namespace detail
}  // namespace sp2dpo
