// SPDX-License-Identifier: Apache-2.0
#include "sequences.hpp"

#include <algorithm>

#include "pairs.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>

namespace sp2dpo {
namespace {

using at::Tensor;

Tensor checked_list(const char* name, const Tensor& list) {
  TORCH_CHECK(list.defined() && list.dim() == 1 && list.is_cpu() &&
                  (list.scalar_type() == at::kLong || list.scalar_type() == at::kInt),
              "sp2dpo::Loss: layout.", name, " must be a list of int64 or int32 on the CPU");
  return list.to(at::kLong).contiguous();
}

PairRows pair_rows(const Sequences& sequences, const Tensor& labels, std::int64_t ignore_index) {
  const RowLabels row_labels{labels.is_cpu() ? labels.data_ptr<std::int64_t>() : nullptr,
                             ignore_index};
  return as_torch_errors([&] { return PairRows(sequences, row_labels, labels.numel()); });
}

}  // namespace

LayoutSequences::LayoutSequences(const Tensor& rows, const PairLayout& layout)
    : sequences{.layout = layout.order} {
  if (layout.cu_seqlens.defined()) {
    TORCH_CHECK(rows.dim() == 2,
                "sp2dpo::Loss: layout.cu_seqlens is for packed rows [R, …], not for ",
                rows.sizes());
    cu_seqlens = checked_list("cu_seqlens", layout.cu_seqlens);
    TORCH_CHECK(cu_seqlens.numel() >= 2,
                "sp2dpo::Loss: layout.cu_seqlens needs at least two bounds");
    sequences.count = cu_seqlens.numel() - 1;
  } else {
    TORCH_CHECK(rows.dim() == 3, "sp2dpo::Loss: packed rows ", rows.sizes(),
                " want layout.cu_seqlens, the bounds of their sequences");
    sequences.count = rows.size(0);
    sequences.length = rows.size(1);
  }
  if (layout.order == Sequences::Layout::listed) {
    chosen = checked_list("chosen", layout.chosen);
    rejected = checked_list("rejected", layout.rejected);
    TORCH_CHECK(chosen.numel() == rejected.numel(), "sp2dpo::Loss: layout.chosen names ",
                chosen.numel(), " sequences, layout.rejected ", rejected.numel());
    sequences.pairs = chosen.numel();
  }
  point_at_lists();
}

LayoutSequences LayoutSequences::on(const at::Device& device) const {
  LayoutSequences copy = *this;
  for (Tensor* list : {&copy.cu_seqlens, &copy.chosen, &copy.rejected})
    if (list->defined()) *list = list->to(device);
  copy.point_at_lists();
  return copy;
}

void LayoutSequences::point_at_lists() {
  const auto data = [](const Tensor& list) -> const std::int64_t* {
    return list.defined() ? list.data_ptr<std::int64_t>() : nullptr;
  };
  sequences.cu_seqlens = data(cu_seqlens);
  sequences.chosen = data(chosen);
  sequences.rejected = data(rejected);
}

Tensor checked_labels(const char* name, const Tensor& rows, const Tensor& labels, bool or_on_cpu) {
  TORCH_CHECK(labels.defined(), "sp2dpo::Loss: labels are undefined");
  TORCH_CHECK(labels.scalar_type() == at::kLong, "sp2dpo::Loss: labels must be int64, not ",
              labels.scalar_type());
  TORCH_CHECK(labels.device() == rows.device() || (or_on_cpu && labels.is_cpu()),
              "sp2dpo::Loss: labels must be on ", rows.device(), " as ", name, " is, not on ",
              labels.device());
  const auto wanted = row_shape(rows);
  TORCH_CHECK(labels.sizes() == wanted, "sp2dpo::Loss: labels must have the shape ", wanted,
              ", one a row of ", name, " ", rows.sizes(), ", not ", labels.sizes());
  return labels.contiguous();
}

RowLayout row_layout(const Tensor& tensor) {
  if (tensor.dim() == 2) return {.stride = tensor.stride(0)};
  return {.stride = tensor.stride(1), .inner = tensor.size(1), .outer_stride = tensor.stride(0)};
}

void check_rows_tensor(const char* name, const Tensor& tensor) {
  TORCH_CHECK(tensor.defined(), "sp2dpo::Loss: ", name, " is undefined");
  TORCH_CHECK(is_floating(tensor), "sp2dpo::Loss: ", name,
              " must be float16, bfloat16, float32 or float64, not ", tensor.scalar_type());
  TORCH_CHECK(tensor.dim() == 3 || tensor.dim() == 2, "sp2dpo::Loss: ", name,
              " must have the shape [2P, T, …] or, packed, [R, …], not ", tensor.sizes());
  TORCH_CHECK(tensor.numel() > 0, "sp2dpo::Loss: ", name, " ", tensor.sizes(), " is empty");
  TORCH_CHECK(tensor.stride(-1) == 1 || tensor.size(-1) == 1,
              "sp2dpo::Loss: the last dimension of ", name, " must be dense (stride 1, not ",
              tensor.stride(-1), "); make it contiguous()");
}

LabelledPairs::LabelledPairs(const char* name, const Tensor& row_tensor, const Tensor& given_labels,
                             const PairLayout& given_layout, const LossOptions& options,
                             bool or_on_cpu)
    : labels(checked_labels(name, row_tensor, given_labels, or_on_cpu)),
      ignore_index(options.ignore_index),
      layout(row_tensor, given_layout),
      rows(pair_rows(layout.sequences, labels, ignore_index)) {
  if (!labels.is_cpu()) layout = layout.on(labels.device());
  TORCH_CHECK(pairs() > 0, "sp2dpo::Loss: the layout names no pair");
  const bool skip = options.empty_rows == EmptyRows::skip;
  for (std::int64_t i = 0; i < pairs(); ++i) {
    if (!rows.complete(i)) {
      const bool no_chosen = rows.count(i, PairRows::chosen) == 0;
      TORCH_CHECK(options.empty_rows != EmptyRows::error, "sp2dpo::Loss: the ",
                  no_chosen ? "chosen" : "rejected", " answer of pair ", i,
                  " has no label but ignore_index ", ignore_index,
                  "; LossOptions::empty_rows says what to do with such a pair");
      if (skip) {
        if (!counted.defined()) counted = at::ones({pairs()}, at::kBool);
        counted.data_ptr<bool>()[i] = false;
        continue;
      }
    }
    ++valid_pairs;
    chosen_rows += rows.count(i, PairRows::chosen);
  }
  TORCH_CHECK(valid_pairs > 0 || options.reduction != Reduction::mean || options.normalizer,
              "sp2dpo::Loss: no pair counts, so their mean is undefined: each of the ", pairs(),
              " has an answer without a label");
}

double nll_tokens(const LabelledPairs& pairs, const LossOptions& options) {
  const auto tokens = static_cast<double>(std::max<std::int64_t>(pairs.chosen_rows, 1));
  return options.nll_normalizer.value_or(tokens);
}

SequenceLoss sequence_loss(const LabelledPairs& pairs, const AnyObjective& objective,
                           const LossOptions& options, const Controls& controls,
                           const Tensor& reference, PairOutputs& outputs) {
  outputs.gradient_scale = 1 / divisor(options, pairs.valid_pairs);
  SequenceLoss loss{.rows = pairs.rows,
                    .objective = objective,
                    .inputs = {.beta = values_of(controls.beta),
                               .margin = values_of(controls.margin),
                               .weight = values_of(controls.weight)},
                    .outputs = outputs,
                    .average_log_prob = averages(objective, options),
                    .skip_incomplete = options.empty_rows == EmptyRows::skip,
                    .nll_scale = options.nll_coefficient / nll_tokens(pairs, options)};
  if (reference.defined()) {
    loss.inputs.reference_chosen = {row_of(reference, PairRows::chosen), DType::float64};
    loss.inputs.reference_rejected = {row_of(reference, PairRows::rejected), DType::float64};
  }
  return loss;
}

Tensor answers(const LabelledPairs& pairs, const Tensor& row_log_prob, bool average) {
  const Tensor result = uninitialized({2, pairs.pairs()}, at::kDouble);
  const double* const row = row_log_prob.data_ptr<double>();
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    for (std::int64_t i = 0; i < pairs.pairs(); ++i)
      row_of(result, side)[i] = sequence_log_prob(pairs.rows.select(i, side), row, average);
  return result;
}

detail::PairRecord record_of_answers(const LabelledPairs& pairs, const LossOptions& options,
                                     const Controls& controls, const Tensor& rows,
                                     const Tensor& policy, const SequenceLoss& loss,
                                     const Tensor& logit_sum, std::int64_t vocab,
                                     const LossSum& sum, at::ScalarType dtype) {
  auto record = record_of(rows,
                          {policy.select(0, PairRows::chosen).to(dtype),
                           policy.select(0, PairRows::rejected).to(dtype), loss.average_log_prob},
                          controls, dtype);
  record.counted = pairs.counted;
  if (options.nll_coefficient > 0)
    record.nll = at::scalar_tensor(sum.nll / nll_tokens(pairs, options), at::kDouble);
  if (logit_sum.defined()) {
    const Tensor means = answers(pairs, logit_sum, false).sum(1);
    for (const auto side : {PairRows::chosen, PairRows::rejected}) {
      std::int64_t tokens = 0;
      for (std::int64_t i = 0; i < pairs.pairs(); ++i) tokens += pairs.rows.count(i, side);
      means.data_ptr<double>()[side] /=
          static_cast<double>(std::max<std::int64_t>(tokens, 1) * vocab);
    }
    record.logits_mean = {means.data_ptr<double>()[0], means.data_ptr<double>()[1]};
  }
  return record;
}

}  // namespace sp2dpo
