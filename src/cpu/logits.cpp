// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <vector>

#include "sequence_arrays.hpp"

#include <sp2dpo/cpu/logits.hpp>
#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/loss/detail/check_rows.hpp>

namespace sp2dpo::cpu {
namespace {

bool is_missing(const SequenceOutputs& arrays, std::int64_t rows, std::int64_t pairs) {
  const bool by_row = arrays.rows.log_prob && arrays.rows.lse_others && arrays.coefficient;
  const bool by_pair =
      arrays.policy_chosen && arrays.policy_rejected && arrays.d_chosen && arrays.d_rejected;
  return (rows > 0 && !by_row) || (pairs > 0 && !by_pair);
}

void check(const char* call, const LogitsJob& job, const SequenceLoss& loss,
           const SequenceOutputs& arrays) {
  using detail::require;
  const RowSelection all{0, job.logits.rows};
  if (!detail::is_empty(call, all)) {
    detail::check_rows(call, job.logits, job.labels, all);
    detail::check_labels(call, job.labels, all, job.logits.rows, job.logits.vocab);
  }
  for (const std::int64_t row : loss.rows.rows())
    require(row < job.logits.rows, "{}: the pairs contain row {}, but logits have {} rows", call,
            row, job.logits.rows);
  require(!is_missing(arrays, job.logits.rows, loss.rows.pairs()),
          "{}: workspace is null, and so is an array of out that it would hold", call);
  detail::check_inputs(call, loss);
  if (job.gradient.data != nullptr && job.logits.rows > 0)
    detail::check_gradient(call, job.logits, arrays.coefficient, job.gradient);
}

}  // namespace

std::size_t logits_workspace(const LogitRows& logits, const PairRows& pairs) {
  detail::Arena arena(nullptr, workspace_alignment);
  (void)arrays_of({}, logits.rows, pairs.pairs(), arena);
  return arena.used();
}

LossSum logits_loss(const LogitsJob& job, const SequenceLoss& loss, void* workspace,
                    const SequenceOutputs& out, const Executor& executor) {
  constexpr const char* call = "cpu::logits_loss";
  const LogitRows& logits = job.logits;
  const PairRows& pairs = loss.rows;
  detail::Arena arena(workspace, workspace_alignment);
  const SequenceOutputs arrays = arrays_of(out, logits.rows, pairs.pairs(), arena);
  check(call, job, loss, arrays);
  PairStep step(call, loss, out, arrays);
  std::fill_n(arrays.coefficient, logits.rows, 0.0);

  if (job.gradient.data == nullptr) {
    row_log_probs(logits, job.labels, pairs.select(0, pairs.pairs()), arrays.rows, executor);
    step(0, pairs.pairs());
    return step.sum();
  }
  if (job.unit != nullptr) {
    row_log_probs_and_gradient(logits, job.labels, {0, logits.rows}, arrays.rows, job.unit,
                               job.gradient, MaskedRows::zero, executor);
    step(0, pairs.pairs());
    return step.sum();
  }
  const auto gradient = [&](const RowSelection& rows) {
    row_gradient(logits, job.labels, rows, arrays.rows.lse_others, arrays.coefficient, job.gradient,
                 MaskedRows::zero, executor);
  };
  for (std::int64_t i = 0; i < pairs.pairs(); ++i) {
    const RowSelection rows = pairs.select(i, i + 1);
    row_log_probs(logits, job.labels, rows, arrays.rows, executor);
    step(i, i + 1);
    gradient(rows);
  }
  const std::vector<std::int64_t> others = pairs.others(logits.rows);
  gradient({0, std::ssize(others), others.data()});
  return step.sum();
}

}  // namespace sp2dpo::cpu
