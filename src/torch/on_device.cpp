// SPDX-License-Identifier: Apache-2.0
#include "on_device.hpp"

#include "on_cuda.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::on_device {
namespace {

using at::Tensor;

void check_options(const LabelledPairs& pairs, const LossOptions& options) {
  TORCH_CHECK(!options.mean_logits, "sp2dpo::Loss: mean_logits is for tensors on the CPU");
  if (pairs.labels.is_cpu()) return;
  // What only the labels' values tell, and so nobody here knows.
  TORCH_CHECK(options.empty_rows != EmptyRows::skip,
              "sp2dpo::Loss: empty_rows skip is for labels on the CPU: on a device, which answers "
              "are empty is not known here, and the mean is over their number");
  TORCH_CHECK(options.nll_coefficient == 0 || options.nll_normalizer,
              "sp2dpo::Loss: with labels on a device, nll_coefficient wants nll_normalizer: the "
              "number of tokens is not known here");
}

/// The loss as it is handed out, from the pairs' sum `total` of float64; the record gets its share.
Tensor handed_out(const LabelledPairs& pairs, const LossOptions& options, const SequenceLoss& loss,
                  const PairTable& table, const SequenceSums& sums, Tensor total,
                  at::ScalarType dtype, detail::PairRecord& record) {
  record.counted = pairs.counted;
  if (loss.nll_scale > 0) {
    Tensor chosen = sums.log_probs[PairRows::chosen];
    if (loss.average_log_prob) chosen = chosen * sums.rows[PairRows::chosen];
    if (pairs.counted.defined()) chosen = chosen * pairs.counted.to(chosen.device());
    const Tensor nll = chosen.sum().neg();
    total = total + loss.nll_scale * nll;
    record.nll = nll / nll_tokens(pairs, options);
  }
  return options.reduction == Reduction::none
             ? table.rows.select(0, loss_row).to(dtype, false, /*copy=*/true)
             : total.to(dtype);
}

detail::PairRecord record_of_sums(const PairTable& table, const SequenceSums& sums, bool averaged,
                                  const Controls& controls, const Tensor& bad_row,
                                  at::ScalarType dtype) {
  auto record = record_of(table.rows,
                          {sums.log_probs.select(0, PairRows::chosen).to(dtype),
                           sums.log_probs.select(0, PairRows::rejected).to(dtype), averaged},
                          controls, dtype);
  record.bad_row = bad_row;
  return record;
}

}  // namespace

SequenceSums::SequenceSums(std::int64_t pairs, const at::Device& device)
    : log_probs(at::empty({2, pairs}, at::TensorOptions(device).dtype(at::kDouble))),
      rows(at::empty({2, pairs}, at::TensorOptions(device).dtype(at::kLong))) {}

SequenceSums::SequenceSums(const LabelledPairs& pairs, const Tensor& row_log_prob, bool average,
                           bool empty_allowed)
    : SequenceSums(pairs.pairs(), row_log_prob.device()) {
  on_cuda::sequence_log_probs(pairs.layout.sequences, pairs.row_labels(), row_log_prob, average,
                              empty_allowed, log_probs, rows);
}

PairStep::PairStep(const LogitsCall& call, const RowPass& pass)
    : table(call.pairs.pairs(), pass.log_prob.device()),
      coefficient(at::zeros_like(pass.log_prob)) {
  check_options(call.pairs, call.options);
  SequenceLoss loss = call.loss(table.outputs);
  const SequenceSums sums(call.pairs, pass.log_prob, loss.average_log_prob,
                          call.options.empty_rows == EmptyRows::keep);
  loss.inputs.policy_chosen = values_of(sums.log_probs[PairRows::chosen]);
  loss.inputs.policy_rejected = values_of(sums.log_probs[PairRows::rejected]);
  const Tensor total = at::empty({}, table.rows.options());
  on_cuda::pair_loss(call.objective, loss.inputs, loss.outputs, call.pairs.pairs(), total);
  on_cuda::row_coefficients(call.pairs.layout.sequences, call.pairs.row_labels(),
                            loss.average_log_prob, sums.log_probs, sums.rows,
                            table.values(d_chosen_row), table.values(d_rejected_row),
                            loss.nll_scale, coefficient);

  record =
      record_of_sums(table, sums, loss.average_log_prob, call.controls, pass.bad_row, call.dtype);
  reduced_loss = handed_out(call.pairs, call.options, loss, table, sums, total, call.dtype, record);
}

void hidden_loss(const HiddenRows& rows, const LabelledPairs& pairs, const AnyObjective& objective,
                 const LossOptions& options, const Controls& controls, const Tensor& reference,
                 const ConstMatrix& reference_hidden, std::int64_t chunk_rows,
                 const at::Device& device, HiddenParts& result) {
  check_options(pairs, options);
  PairTable table(pairs.pairs(), device);
  const SequenceLoss loss =
      sequence_loss(pairs, objective, options, controls, reference, table.outputs);
  const SequenceSums sums(pairs.pairs(), device);
  const Tensor bad_row = at::full({}, -1, sums.rows.options());
  on_cuda::hidden_loss(rows, loss, chunk_rows, sums.log_probs, sums.rows,
                       table.rows.select(0, d_chosen_row), table.rows.select(0, d_rejected_row),
                       bad_row, reference_hidden, options.empty_rows != EmptyRows::error);
  const Tensor total = loss.outputs.gradient_scale * table.rows.select(0, loss_row).sum();
  result.record = record_of_sums(table, sums, loss.average_log_prob, controls, bad_row, at::kFloat);
  result.loss = handed_out(pairs, options, loss, table, sums, total, at::kFloat, result.record);
}

Tensor hidden_answers(const HiddenRows& rows, const LabelledPairs& pairs, bool average,
                      std::int64_t chunk_rows, const at::Device& device) {
  const SequenceSums sums(pairs.pairs(), device);
  on_cuda::hidden_log_probs(rows, pairs.rows, average, chunk_rows, sums.log_probs, sums.rows);
  return sums.log_probs;
}

}  // namespace sp2dpo::on_device
