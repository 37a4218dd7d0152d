// SPDX-License-Identifier: Apache-2.0
#include <initializer_list>
#include <string>

#include "operator_kernels.hpp"
#include "operator_results.hpp"
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

/// The losses as operators of libtorch, which Python and torch.compile find by name.
/// log_probs_loss, logits_loss and hidden_loss have gradients, which they compute by lower
/// operators. The lower ones have no gradients, but kernels for meta tensors, so that tracing sees
/// through the losses.
namespace sp2dpo::operators {
namespace {

/// Turns one beta for all pairs into a tensor, and calls the operator.
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

// Autocast.

/// Casts the named arguments, and calls the operator without autocast.
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

/// Casts to float32 at least, like libtorch's own losses.
void log_probs_loss_autocast(const OperatorHandle& op, Stack* stack) {
  call_with(op, stack, {"chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps"},
            at::kFloat);
}

/// Casts both sides of the matrix product to the narrow type, like linear. Logits need no kernel
/// here: they are summed in float32 at least whatever their type, and never copied.
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
/// `beta` is the type of beta: Tensor, one number per pair, or float, one for all.
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

void implement_kernels(torch::Library& m) {
  m.impl("row_log_probs", boxed<&row_log_probs>());
  m.impl("row_gradient", boxed<&row_gradient>());
  m.impl("row_log_probs_and_gradient", boxed<&row_log_probs_and_gradient>());
  m.impl("log_probs_loss_forward", boxed<&log_probs_loss_forward>());
  m.impl("log_probs_loss_curvature", boxed<&log_probs_loss_curvature>());
  m.impl("logits_loss_forward", boxed<&logits_loss_forward>());
  m.impl("logits_loss_value_and_grad", boxed<&logits_loss_value_and_grad>());
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
  define_loss("log_probs_loss", log_probs_arguments, result_list<LogProbsResults>());
  define_loss("logits_loss", logits_arguments, result_list<SequenceResults>());
  define_loss("hidden_loss", hidden_arguments, result_list<SequenceResults>());

  define(
      "row_log_probs(Tensor logits, Tensor labels, int ignore_index=-100, int? vocab_size=None) "
      "-> " +
      result_list<RowLogProbsResults>());
  define(
      "row_gradient(Tensor logits, Tensor labels, Tensor lse_others, Tensor coefficient, "
      "int ignore_index=-100, int? vocab_size=None) -> Tensor");
  define(
      "row_log_probs_and_gradient(Tensor logits, Tensor labels, Tensor? coefficient=None, "
      "int ignore_index=-100, int? vocab_size=None) -> " +
      result_list<RowGradientResults>());
  define("log_probs_loss_forward(" + log_probs_arguments("Tensor") + ") -> " +
         result_list<LogProbsForwardResults>());
  define("log_probs_loss_curvature(Tensor direction, " + log_probs_arguments("Tensor") +
         ") -> Tensor");
  define("logits_loss_forward(" + logits_arguments("Tensor") + ") -> " +
         result_list<LogitsForwardResults>());
  define("logits_loss_value_and_grad(" + logits_arguments("Tensor") + ", bool unit=False) -> " +
         result_list<LogitsGradientResults>());
  define("hidden_loss_forward(" + hidden_arguments("Tensor") +
         ", bool need_hidden=True, bool need_weight=True, bool need_bias=False) -> " +
         result_list<HiddenForwardResults>());
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
  m.impl("row_log_probs_and_gradient", boxed<&row_log_probs_and_gradient_meta>());
  m.impl("log_probs_loss_forward", boxed<&log_probs_loss_forward_meta>());
  m.impl("log_probs_loss_curvature", boxed<&log_probs_loss_curvature_meta>());
  m.impl("logits_loss_forward", boxed<&logits_loss_forward_meta>());
  m.impl("logits_loss_value_and_grad", boxed<&logits_loss_value_and_grad_meta>());
  m.impl("hidden_loss_forward", boxed<&hidden_loss_forward_meta>());
}
TORCH_LIBRARY_IMPL(sp2dpo, CompositeExplicitAutograd, m) {
  implement_losses(m);
}
TORCH_LIBRARY_IMPL(sp2dpo, Autograd, m) {
  implement_losses(m);
  for (const char* name :
       {"row_log_probs", "row_gradient", "row_log_probs_and_gradient", "log_probs_loss_forward",
        "log_probs_loss_curvature", "logits_loss_forward", "logits_loss_value_and_grad",
        "hidden_loss_forward"})
    m.impl(name, torch::autograd::autogradNotImplementedFallback());
}
TORCH_LIBRARY_IMPL(sp2dpo, AutocastCPU, m) {
  implement_autocast(m);
}
TORCH_LIBRARY_IMPL(sp2dpo, AutocastCUDA, m) {
  implement_autocast(m);
}

}  // namespace sp2dpo::operators
