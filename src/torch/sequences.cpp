// SPDX-License-Identifier: Apache-2.0
#include "sequences.hpp"

#include <algorithm>

#include "pairs.hpp"
#include "uninitialized.hpp"
#include "upload.hpp"
#include <ATen/ATen.h>

namespace sp2dpo {
namespace {

using at::Tensor;

Tensor checked_list(const char* name, const Tensor& list) {
  TORCH_CHECK(list.defined() && list.dim() == 1 && list.is_cpu() &&
                  (list.scalar_type() == at::kLong || list.scalar_type() == at::kInt),
              "sp2dpo::Loss: layout.", name, " must be a 1-D tensor of int64 or int32 on the CPU");
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
                "sp2dpo::Loss: layout.cu_seqlens must hold at least two bounds");
    sequences.count = cu_seqlens.numel() - 1;
  } else {
    TORCH_CHECK(rows.dim() == 3, "sp2dpo::Loss: packed rows ", rows.sizes(),
                " need layout.cu_seqlens, the bounds of their sequences");
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
    if (list->defined()) *list = uploaded(*list, device);
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
              ", one per row of ", name, " ", rows.sizes(), ", not ", labels.sizes());
  return labels.contiguous();
}

LabelledPairs::LabelledPairs(const char* name, const Tensor& row_tensor, const Tensor& given_labels,
                             const PairLayout& given_layout, const LossOptions& options,
                             bool or_on_cpu)
    : labels(checked_labels(name, row_tensor, given_labels, or_on_cpu)),
      ignore_index(options.ignore_index),
      layout(row_tensor, given_layout),
      rows(pair_rows(layout.sequences, labels, ignore_index)) {
  if (!labels.is_cpu()) layout = layout.on(labels.device());
  TORCH_CHECK(pairs() > 0, "sp2dpo::Loss: the layout has no pairs");
  const bool skip = options.empty_rows == EmptyRows::skip;
  for (std::int64_t i = 0; i < pairs(); ++i) {
    if (!rows.complete(i)) {
      const bool no_chosen = rows.count(i, PairRows::chosen) == 0;
      TORCH_CHECK(options.empty_rows != EmptyRows::error, "sp2dpo::Loss: the ",
                  no_chosen ? "chosen" : "rejected", " response of pair ", i,
                  " has no label other than ignore_index ", ignore_index,
                  "; to accept such a pair, set LossOptions::empty_rows to skip or keep");
      if (skip) {
        if (!counted.defined()) counted = at::ones({pairs()}, at::kBool);
        counted.data_ptr<bool>()[i] = false;
        continue;
      }
    }
    ++valid_pairs;
    chosen_row_count += rows.count(i, PairRows::chosen);
  }
}

double nll_tokens(const LabelledPairs& pairs, const LossOptions& options) {
  const auto tokens = static_cast<double>(std::max<std::int64_t>(pairs.chosen_row_count, 1));
  return options.nll_normalizer.value_or(tokens);
}

SequenceLoss SequenceCall::loss(PairOutputs& outputs) const {
  outputs.gradient_scale = 1 / divisor(options, pairs.valid_pairs);
  SequenceLoss loss{.rows = pairs.rows,
                    .objective = objective,
                    .inputs = {.beta = values_of(controls.beta),
                               .margin = values_of(controls.margin),
                               .weight = values_of(controls.weight)},
                    .outputs = outputs,
                    .average_log_prob = averages(),
                    .skip_incomplete = options.empty_rows == EmptyRows::skip,
                    .nll_scale = options.nll_coefficient / nll_tokens(pairs, options)};
  if (reference.defined()) {
    loss.inputs.reference_chosen = {row_of(reference, PairRows::chosen), DType::float64};
    loss.inputs.reference_rejected = {row_of(reference, PairRows::rejected), DType::float64};
  }
  return loss;
}

}  // namespace sp2dpo
