// SPDX-License-Identifier: Apache-2.0
#include "hidden.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "fields.hpp"
#include "hidden_head.hpp"
#include "memory_overlap.hpp"
#include "own_types.hpp"
#include "pairs.hpp"
#include "reference.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using detail::HiddenArguments;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

bool is_same(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.data_ptr() == b.data_ptr() && a.sizes() == b.sizes() && a.strides() == b.strides();
}

/// The reference's hidden states [R, H], if its head is the policy's own (LoRA) and the backend
/// takes both through the same products. Otherwise undefined.
Tensor hidden_under_the_same_head(const Backend& backend, const HiddenArguments& x) {
  const auto* const given = std::get_if<ReferenceHidden>(&x.reference);
  if (given == nullptr || !backend.takes_reference() ||
      !is_same(given->head_weight, x.head_weight) || !is_same(given->head_bias, x.head_bias))
    return {};
  const HiddenHead reference("reference.hidden", given->hidden, x.head_weight, x.head_bias,
                             x.how.vocab_size, x.how.precise);
  check_reference_rows(given->hidden, x.hidden);
  return reference.hidden;
}

/// The tensors that the gradients are computed in, which `rows` of these point at.
class HiddenGradients {
 public:
  HiddenGradients(const HiddenHead& model, const HiddenArguments& arguments,
                  const HiddenNeeds& needs, HeadGradient head_gradient)
      : model_(model),
        x_(arguments),
        needs_(needs),
        head_gradient_(head_gradient),
        sum_type_(loss_type({model.head})) {}

  /// `one_chunk`: one chunk holds all rows, so that the head's gradient is not a sum.
  /// `wide_hidden`: the backend writes the gradient of hidden states in their kept_type().
  void point_at_memory(HiddenRows& rows, bool one_chunk, bool wide_hidden) {
    const Tensor& main_grad = x_.how.main_grad;
    rows.add = main_grad.defined();
    if (needs_.hidden) {
      const auto own = model_.hidden.scalar_type();
      d_hidden_ = uninitialized(model_.hidden.sizes(), wide_hidden ? kept_type(own) : own,
                                model_.hidden.device());
      rows.d_hidden = matrix_of<Matrix>(d_hidden_);
    }
    if (main_grad.defined()) {
      check_main_grad();
      rows.d_head = matrix_of<Matrix>(own_rows(main_grad));
    } else if (needs_.head_weight) {
      const bool in_own_type = one_chunk && head_gradient_ == HeadGradient::rounded &&
                               model_.head.scalar_type() == x_.head_weight.scalar_type() &&
                               kept_type(model_.head.scalar_type()) == model_.head.scalar_type();
      d_head_ = uninitialized(x_.head_weight.sizes(),
                              in_own_type ? x_.head_weight.scalar_type() : sum_type_,
                              model_.hidden.device());
      const std::int64_t vocab = model_.head.size(0);
      d_head_.narrow(0, vocab, d_head_.size(0) - vocab).zero_();
      rows.d_head = matrix_of<Matrix>(own_rows(d_head_));
    }
    if (needs_.head_bias) {
      d_bias_ = at::zeros({x_.head_weight.size(0)}, model_.head.options().dtype(sum_type_));
      rows.d_bias = matrix_of<Matrix>(own_rows(d_bias_).unsqueeze(0));
    }
  }

  /// The gradients in their final types and shapes.
  [[nodiscard]] HiddenVariables result() const {
    const auto rounded = [&](const Tensor& gradient, const Tensor& like) {
      return gradient.defined() && head_gradient_ == HeadGradient::rounded
                 ? gradient.to(kept_type(like.scalar_type()))
                 : gradient;
    };
    HiddenVariables gradient;
    if (needs_.hidden) {
      const auto own = x_.hidden.scalar_type();
      gradient.hidden = d_hidden_.to(head_gradient_ == HeadGradient::rounded ? kept_type(own) : own)
                            .view(x_.hidden.sizes());
    }
    gradient.head_weight = rounded(d_head_, x_.head_weight);
    gradient.head_bias = rounded(d_bias_, x_.head_bias);
    return gradient;
  }

 private:
  /// The part of the vocabulary that counts.
  [[nodiscard]] Tensor own_rows(const Tensor& gradient) const {
    return gradient.narrow(0, 0, model_.head.size(0));
  }
  void check_main_grad() const {
    const Tensor& sum = x_.how.main_grad;
    TORCH_CHECK(sum.scalar_type() == sum_type_ && sum.sizes() == x_.head_weight.sizes() &&
                    sum.device() == x_.hidden.device() && sum.stride(1) == 1,
                "sp2dpo::Loss: main_grad must be ", sum_type_, " ", x_.head_weight.sizes(), " on ",
                x_.hidden.device(), " with a dense last dimension, not ", sum.scalar_type(), " ",
                sum.sizes(), " on ", sum.device());
    check_written_once("main_grad", sum);
    for (const auto& [name, input] : {std::pair<const char*, const Tensor&>{"hidden", x_.hidden},
                                      {"the head's weight", x_.head_weight},
                                      {"the head's bias", x_.head_bias}})
      check_apart("main_grad", sum, name, input);
  }

  const HiddenHead& model_;
  const HiddenArguments& x_;
  const HiddenNeeds needs_;
  const HeadGradient head_gradient_;
  const at::ScalarType sum_type_;
  Tensor d_hidden_, d_head_, d_bias_;
};

/// Returns gradient · upstream, rounded once to the gradient's type. `upstream` is one number, of
/// float32 at least, and may lie outside the range of 16-bit types, as a loss scale does.
Tensor scaled(const Tensor& gradient, const Tensor& upstream, bool in_place) {
  const auto type = gradient.scalar_type();
  if (type == at::kFloat || type == at::kDouble) {
    const Tensor factor = upstream.to(type);
    return in_place ? gradient.mul_(factor) : gradient * factor;
  }
  const Tensor result = in_place ? gradient : gradient.clone(at::MemoryFormat::Contiguous);
  // A tensor of one element, since libtorch may round a scalar to the gradient's type first. On the
  // CPU in blocks, which bound the memory for float32 copies.
  const Tensor factor = upstream.reshape({1}), all = result.view({-1});
  const std::int64_t block = gradient.is_cpu() ? std::int64_t{1} << 20 : all.numel();
  for (std::int64_t first = 0; first < all.numel(); first += block)
    all.narrow(0, first, std::min(block, all.numel() - first)).mul_(factor);
  return result;
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
    HiddenVariables saved = parts.gradient;
    for (std::size_t i = 0; i < saved.all().size(); ++i)
      if (!*needs.all()[i]) *saved.all()[i] = Tensor();
    ctx->save_for_backward(pack(saved));
    return parts.loss;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list upstream) {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "sp2dpo::Loss: a gradient of the gradient (create_graph) is available from "
                "log-probabilities only, not from hidden states");
    auto x = unpack<HiddenVariables>(ctx->get_saved_variables());
    const bool last = !torch::autograd::get_current_graph_task_keep_graph();
    const OwnTypes own_types;
    const auto scale = [&](Tensor& gradient, bool in_place) {
      if (gradient.defined()) gradient = scaled(gradient, upstream[0], in_place);
    };
    // A copy of the head's gradient would take longer than the products save on half the rows.
    for (Tensor* gradient : {&x.hidden, &x.head_weight, &x.head_bias}) scale(*gradient, last);
    // Columns of the record, which must keep its values.
    for (Tensor* gradient : {&x.beta, &x.margin}) scale(*gradient, false);
    // Autograd rounds a gradient in its kept_type() to the variable's own.
    return {x.hidden,   x.head_weight, x.head_bias, x.beta, x.margin, /*needs*/ {},
            /*run*/ {}, /*parts*/ {}};
  }
};

void check_reduced(Reduction reduction) {
  TORCH_CHECK(reduction != Reduction::none,
              "sp2dpo::Loss: from hidden states only the reduced loss is differentiable, but "
              "the reduction is Reduction::none");
}

/// Names an undefined tensor before autograd meets it.
void check_defined(const HiddenArguments& x) {
  TORCH_CHECK(x.hidden.defined(), "sp2dpo::Loss: hidden is undefined");
  TORCH_CHECK(x.head_weight.defined(), "sp2dpo::Loss: the head's weight is undefined");
}

HiddenOptions without_main_grad(HiddenOptions how) {
  how.main_grad = Tensor();
  return how;
}

HiddenArguments with_options(const HiddenArguments& x, const HiddenOptions& how) {
  return {x.hidden, x.head_weight, x.head_bias, x.labels, x.reference, x.controls, how};
}

}  // namespace

HiddenParts hidden_forward(const AnyObjective& objective, const LossOptions& options,
                           const HiddenArguments& x, const HiddenNeeds& needs,
                           HeadGradient head_gradient) {
  const c10::NoGradGuard no_grad;
  const OwnTypes own_types;
  const auto backend = backend_of("hidden", x.hidden);
  HiddenHead model("hidden", x.hidden, x.head_weight, x.head_bias, x.how.vocab_size, x.how.precise);
  check_workspace_bytes(x.how.workspace_bytes);
  const LabelledPairs pairs("hidden", x.hidden, x.labels, x.how.layout, options,
                            /*or_on_cpu=*/true);
  check_controls(x.controls, pairs.pairs(), x.hidden.device());
  check_objective(objective, options, x.controls);
  const Tensor reference_hidden = hidden_under_the_same_head(*backend, x);
  const Tensor reference = reference_hidden.defined()
                               ? Tensor()
                               : reference_log_probs(*backend, x.reference, x.hidden, pairs,
                                                     {.average = averages(objective, options),
                                                      .columns = x.head_weight.size(0),
                                                      .vocab_size = x.how.vocab_size,
                                                      .workspace_bytes = x.how.workspace_bytes,
                                                      .precise = x.how.precise});

  HiddenRows rows = model.rows(pairs);
  const std::int64_t chunk_rows =
      backend->chunk_rows(rows, x.how.workspace_bytes, reference_hidden.defined());
  HiddenGradients gradients(model, x, needs, head_gradient);
  gradients.point_at_memory(rows, std::ssize(pairs.rows.rows()) <= chunk_rows,
                            backend->writes_wide_hidden());
  const SequenceCall call{objective, options, x.controls, pairs, reference, loss_type({x.hidden})};
  LossAndRecord result = backend->hidden_loss(
      rows, call, chunk_rows,
      reference_hidden.defined() ? matrix_of(reference_hidden) : ConstMatrix());
  if (x.how.main_grad.defined()) mark_written(x.how.main_grad);
  HiddenVariables gradient = gradients.result();
  gradient.beta = result.record.columns.select(0, d_beta_column);
  gradient.margin = result.record.columns.select(0, d_margin_column);
  return {std::move(result.loss), std::move(gradient), std::move(result.record)};
}

HiddenNeeds needs_of(const HiddenVariables& x) {
  return {asks_for_gradient(x.hidden), asks_for_gradient(x.head_weight),
          asks_for_gradient(x.head_bias), asks_for_gradient(x.beta), asks_for_gradient(x.margin)};
}

HiddenParts with_gradient(const HiddenVariables& x, const HiddenNeeds& needs, Reduction reduction,
                          const std::function<HiddenParts()>& forward) {
  const bool any = std::ranges::any_of(needs.all(), [](const bool* needed) { return *needed; });
  if (any) check_reduced(reduction);
  HiddenParts parts;
  parts.loss = HiddenLoss::apply(x.hidden, x.head_weight, given(x.head_bias), given(x.beta),
                                 given(x.margin), needs, forward, parts);
  return parts;
}

namespace detail {

LossOutput loss_of_hidden(const AnyObjective& objective, const LossOptions& options,
                          const HiddenArguments& given) {
  check_defined(given);
  // An evaluation, without gradients, adds nothing to main_grad.
  const HiddenOptions how = c10::GradMode::is_enabled() ? given.how : without_main_grad(given.how);
  const HiddenArguments x = with_options(given, how);
  const HiddenVariables variables{x.hidden, x.head_weight, x.head_bias, x.controls.beta.tensor,
                                  x.controls.margin.tensor};
  HiddenNeeds needs = needs_of(variables);
  if (how.main_grad.defined()) {
    check_reduced(options.reduction);
    needs.head_weight = false;
  }
  HiddenParts parts = with_gradient(variables, needs, options.reduction, [&] {
    return hidden_forward(objective, options, x, needs, HeadGradient::rounded);
  });
  return {std::move(parts.loss), std::move(parts.record)};
}

HiddenGradient value_and_grad_of_hidden(const AnyObjective& objective, const LossOptions& options,
                                        const HiddenArguments& given, bool need_dw) {
  check_defined(given);
  const HiddenOptions how = need_dw ? given.how : without_main_grad(given.how);
  const HiddenArguments x = with_options(given, how);
  TORCH_CHECK(options.reduction != Reduction::none,
              "sp2dpo::Loss: value_and_grad gives the gradient of the reduced loss, but "
              "the reduction is Reduction::none");
  const HiddenNeeds needs{.hidden = true,
                          .head_weight = need_dw && !how.main_grad.defined(),
                          .head_bias = need_dw && x.head_bias.defined()};
  HiddenParts result = hidden_forward(objective, options, x, needs, HeadGradient::exact);
  return {{std::move(result.loss), std::move(result.record)},
          std::move(result.gradient.hidden),
          std::move(result.gradient.head_weight),
          std::move(result.gradient.head_bias)};
}

}  // namespace detail
}  // namespace sp2dpo
