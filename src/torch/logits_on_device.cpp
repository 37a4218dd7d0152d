// SPDX-License-Identifier: Apache-2.0
#include "logits_on_device.hpp"

#include "on_cuda.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo::on_device {
namespace {

using at::Tensor;

/// What only the labels' values tell, and so nobody here knows.
void check_nothing_wants_labels(const LossOptions& options) {
  TORCH_CHECK(options.empty_rows != EmptyRows::skip,
              "sp2dpo::Loss: empty_rows skip is for tensors on the CPU: on a device, which answers "
              "are empty is not known here, and the mean is over their number");
  TORCH_CHECK(options.nll_coefficient == 0 || options.nll_normalizer,
              "sp2dpo::Loss: on a device, nll_coefficient wants nll_normalizer: the number of "
              "tokens is not known here");
  TORCH_CHECK(!options.mean_logits,
              "sp2dpo::Loss: mean_logits is for tensors on the CPU: on a device, the number of "
              "tokens is not known here");
}

}  // namespace

AnswerSums::AnswerSums(const LabelledPairs& pairs, const Tensor& row_log_prob, bool average,
                       bool empty_allowed)
    : log_probs(at::empty({2, pairs.pairs()}, row_log_prob.options())),
      rows(at::empty({2, pairs.pairs()}, row_log_prob.options().dtype(at::kLong))) {
  on_cuda::answer_log_probs(pairs.layout.sequences, pairs.row_labels(), row_log_prob, average,
                            empty_allowed, log_probs, rows);
}

PairStep::PairStep(const LogitsCall& call, const RowPass& pass)
    : table(call.pairs.pairs(), pass.log_prob.device()),
      coefficient(at::zeros_like(pass.log_prob)) {
  check_nothing_wants_labels(call.options);
  SequenceLoss loss = call.loss(table.outputs);
  const AnswerSums sums(call.pairs, pass.log_prob, loss.average_log_prob,
                        call.options.empty_rows == EmptyRows::keep);
  loss.inputs.policy_chosen = values_of(sums.log_probs[PairRows::chosen]);
  loss.inputs.policy_rejected = values_of(sums.log_probs[PairRows::rejected]);
  Tensor total = at::empty({}, table.rows.options());
  on_cuda::pair_loss(call.objective, loss.inputs, loss.outputs, call.pairs.pairs(), total);
  on_cuda::row_coefficients(call.pairs.layout.sequences, call.pairs.row_labels(),
                            loss.average_log_prob, sums.log_probs, sums.rows,
                            table.values(d_chosen_row), table.values(d_rejected_row),
                            loss.nll_scale, coefficient);

  record = record_of(
      table.rows,
      {sums.log_probs.select(0, PairRows::chosen).to(call.dtype),
       sums.log_probs.select(0, PairRows::rejected).to(call.dtype), loss.average_log_prob},
      call.controls, call.dtype);
  record.bad_row = pass.bad_row;
  if (loss.nll_scale > 0) {
    const Tensor chosen = sums.log_probs[PairRows::chosen];
    const Tensor nll =
        (loss.average_log_prob ? chosen * sums.rows[PairRows::chosen] : chosen).sum().neg();
    total = total + loss.nll_scale * nll;
    record.nll = nll / *call.options.nll_normalizer;
  }
  reduced_loss = call.options.reduction == Reduction::none
                     ? table.rows.select(0, loss_row).to(call.dtype, false, /*copy=*/true)
                     : total.to(call.dtype);
}

}  // namespace sp2dpo::on_device
