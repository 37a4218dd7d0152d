// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>

#include "row_kernels.hpp"
#include <cuda_runtime_api.h>

#include <sp2dpo/cuda/check.cuh>
#include <sp2dpo/cuda/logits.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/detail/check_hidden.hpp>

namespace sp2dpo::cuda {
namespace {

using sp2dpo::detail::require;

void check(const char* call, const LogitsJob& job, const SequenceLoss& loss,
           const SequenceLists& lists, const LogitsOutputs& out, const RowMemory& memory) {
  const std::int64_t pairs = pairs_of(lists.sequences);
  require(loss.rows.pairs() == pairs, "{}: loss.rows has {} pairs, and lists.sequences {}", call,
          loss.rows.pairs(), pairs);
  require(
      !loss.skip_incomplete,
      "{}: loss.skip_incomplete needs the labels on the host; leave incomplete pairs out of the "
      "batch",
      call);
  sp2dpo::detail::check_inputs(call, loss);
  require(out.rows.log_prob != nullptr, "{}: out.rows.log_prob is null", call);
  require(out.rows.lse_others != nullptr, "{}: out.rows.lse_others is null", call);
  require(out.coefficient != nullptr, "{}: out.coefficient is null", call);
  check_sums(call, "out.sums", out.sums);
  require(out.d_chosen != nullptr, "{}: out.d_chosen is null", call);
  require(out.d_rejected != nullptr, "{}: out.d_rejected is null", call);
  sp2dpo::detail::check_slopes(call, loss, out.d_chosen, out.d_rejected);
  require(job.logits.rows >= 0, "{}: logits.rows is {}", call, job.logits.rows);
  const std::size_t wanted = logits_workspace(job.logits, loss.rows);
  require(memory.workspace_bytes >= wanted && (wanted == 0 || memory.workspace != nullptr),
          "{}: needs {} bytes of workspace, got {}", call, wanted,
          memory.workspace == nullptr ? 0 : memory.workspace_bytes);
}

}  // namespace

std::size_t logits_workspace(const LogitRows& logits, const PairRows& pairs) {
  // The pair step runs when the passes before it have left theirs.
  return std::max(row_workspace(logits, logits.rows), pair_loss_workspace(pairs.pairs()));
}

void logits_loss(const LogitsJob& job, const SequenceLoss& loss, const SequenceLists& lists,
                 const LogitsOutputs& out, const RowMemory& memory, Stream stream) {
  constexpr const char* call = "cuda::logits_loss";
  if (loss.rows.pairs() == 0) return;
  check(call, job, loss, lists, out, memory);
  const bool wants_gradient = job.gradient.data != nullptr;
  const RowSelection all{0, job.logits.rows};
  if (wants_gradient && job.unit != nullptr)
    row_log_probs_and_gradient(job.logits, job.labels, all, out.rows, job.unit, job.gradient,
                               MaskedRows::zero, memory, stream);
  else
    row_log_probs(job.logits, job.labels, all, out.rows, memory, stream);

  const SequenceRows batch{lists.sequences, job.labels, loss.average_log_prob};
  sequence_log_probs(batch, out.rows.log_prob, lists.empty_allowed, out.sums, stream);
  PairInputs inputs = loss.inputs;
  inputs.policy_chosen = {out.sums.chosen, DType::float64};
  inputs.policy_rejected = {out.sums.rejected, DType::float64};
  pair_loss({.in = inputs,
             .out = loss.outputs,
             .total = out.total,
             .pairs = loss.rows.pairs(),
             .workspace = memory.workspace,
             .workspace_bytes = memory.workspace_bytes},
            loss.objective, stream);

  detail::check(cudaMemsetAsync(out.coefficient, 0,
                                static_cast<std::size_t>(job.logits.rows) * sizeof(double), stream),
                "cuda::logits_loss, cudaMemsetAsync");
  row_coefficients(batch, out.sums, {out.d_chosen, DType::float64},
                   {out.d_rejected, DType::float64}, 1.0, loss.nll_scale, out.coefficient, stream);
  if (wants_gradient && job.unit == nullptr)
    row_gradient(job.logits, job.labels, all, out.rows.lse_others, out.coefficient, job.gradient,
                 MaskedRows::zero, memory, stream);
}

}  // namespace sp2dpo::cuda
