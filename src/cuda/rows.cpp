// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <limits>

#include "row_kernels.hpp"

#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/loss/detail/check_rows.hpp>

namespace sp2dpo::cuda {
namespace {

using detail::check_gradient;
using detail::is_empty;
using detail::require;

constexpr std::int64_t max_blocks = std::numeric_limits<std::int32_t>::max();

/// Returns how many blocks share a row, so that few rows also keep a GPU busy: about 512 blocks in
/// all, with at least 8192 logits each. Depends on sizes alone, so that results do not depend on
/// the device.
int parts_of_rows(const LogitRows& logits, std::int64_t rows) {
  const std::int64_t wanted = (511 + rows) / std::max<std::int64_t>(rows, 1);
  return static_cast<int>(std::clamp<std::int64_t>(logits.vocab / 8192, 1, wanted));
}

/// Adds the limits of a launch to the checks that both rooms share.
void check_rows(const char* call, const LogitRows& logits, const RowLabels& labels,
                const RowSelection& selection) {
  require(logits.dtype != DType::float64,
          "{}: logits are float64; the kernels take float16, bfloat16 and float32", call);
  detail::check_rows(call, logits, labels, selection);
  require(std::max(logits.vocab, logits.padded_vocab) <= max_blocks,
          "{}: logits.vocab is {} and logits.padded_vocab {}; expected at most {}", call,
          logits.vocab, logits.padded_vocab, max_blocks);
  require(selection.count <= max_blocks, "{}: the selection has {} rows; expected at most {}", call,
          selection.count, max_blocks);
}

void check_workspace(const char* call, const LogitRows& logits, const RowSelection& selection,
                     const RowMemory& memory) {
  const std::size_t wanted = row_workspace(logits, selection.count);
  require(memory.workspace_bytes >= wanted && (wanted == 0 || memory.workspace != nullptr),
          "{}: {} rows need {} bytes of workspace, got {}", call, selection.count, wanted,
          memory.workspace == nullptr ? 0 : memory.workspace_bytes);
}

/// Returns whether each row of the gradient is aligned to 16 bytes like its row of logits.
bool is_aligned_alike(const LogitRows& logits, const GradientRows& gradient) {
  const auto size = static_cast<std::int64_t>(size_of(logits.dtype));
  const auto apart = [size](std::int64_t a, std::int64_t b) { return (a - b) * size % 16 != 0; };
  const RowLayout& a = logits.layout;
  const RowLayout& b = gradient.layout;
  const auto address = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return a.inner == b.inner && !apart(a.stride, b.stride) &&
         !apart(a.outer_stride, b.outer_stride) &&
         (address(logits.data) - address(gradient.data)) % 16 == 0;
}

void check_sequences(const char* call, const SequenceRows& batch) {
  const Sequences& sequences = batch.sequences;
  const bool listed = sequences.layout == Sequences::Layout::listed;
  require(sequences.count >= 0 && (listed || sequences.count % 2 == 0),
          "{}: {} sequences do not form pairs; expected an even number", call, sequences.count);
  require(!listed || (sequences.pairs >= 0 && sequences.chosen && sequences.rejected),
          "{}: sequences.chosen or sequences.rejected is null, or sequences.pairs is negative ({})",
          call, sequences.pairs);
  require(sequences.cu_seqlens != nullptr || sequences.length >= 0,
          "{}: sequences.length is {}; expected at least 0", call, sequences.length);
  require(batch.labels.label != nullptr, "{}: labels.label is null", call);
}

unsigned sequence_blocks(const char* call, const Sequences& sequences) {
  const std::int64_t blocks = 2 * pairs_of(sequences);
  require(blocks <= max_blocks, "{}: {} pairs exceed the limit of a launch", call, blocks / 2);
  return static_cast<unsigned>(blocks);
}

}  // namespace

std::size_t row_workspace(const LogitRows& logits, std::int64_t rows) {
  const int parts = parts_of_rows(logits, rows);
  static_assert(sizeof(launch::StoredScale) <= sizeof(launch::PartialSum));
  return parts == 1 ? 0 : static_cast<std::size_t>(rows * parts) * sizeof(launch::PartialSum);
}

void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                   const RowStatistics& out, const RowMemory& memory, Stream stream) {
  constexpr const char* call = "cuda::row_log_probs";
  if (is_empty(call, selection)) return;
  check_rows(call, logits, labels, selection);
  check_workspace(call, logits, selection, memory);
  launch::log_probs({.logits = logits,
                     .labels = labels,
                     .selection = selection,
                     .statistics = out,
                     .bad_row = memory.bad_row,
                     .partial = static_cast<launch::PartialSum*>(memory.workspace)},
                    parts_of_rows(logits, selection.count), stream);
}

void row_gradient(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                  const double* lse_others, const double* coefficient, const GradientRows& out,
                  MaskedRows masked, const RowMemory& memory, Stream stream) {
  constexpr const char* call = "cuda::row_gradient";
  if (is_empty(call, selection)) return;
  check_rows(call, logits, labels, selection);
  check_gradient(call, logits, coefficient, out);
  require(lse_others != nullptr, "{}: lse_others is null; row_log_probs writes it", call);
  check_workspace(call, logits, selection, memory);
  launch::gradient({.logits = logits,
                    .labels = labels,
                    .selection = selection,
                    .scales = static_cast<launch::StoredScale*>(memory.workspace),
                    .lse_others = lse_others,
                    .coefficient = coefficient,
                    .gradient = out,
                    .masked = masked},
                   parts_of_rows(logits, selection.count), stream);
}

void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowSelection& selection, const RowStatistics& out,
                                const double* coefficient, const GradientRows& gradient,
                                MaskedRows masked, const RowMemory& memory, Stream stream) {
  constexpr const char* call = "cuda::row_log_probs_and_gradient";
  if (is_empty(call, selection)) return;
  check_rows(call, logits, labels, selection);
  check_gradient(call, logits, coefficient, gradient);
  require(out.lse_others != nullptr, "{}: out.lse_others is null", call);
  if (is_aligned_alike(logits, gradient) &&
      launch::log_probs_and_gradient({.logits = logits,
                                      .labels = labels,
                                      .selection = selection,
                                      .statistics = out,
                                      .bad_row = memory.bad_row,
                                      .coefficient = coefficient,
                                      .gradient = gradient,
                                      .masked = masked},
                                     stream))
    return;
  check_workspace(call, logits, selection, memory);
  row_log_probs(logits, labels, selection, out, memory, stream);
  row_gradient(logits, labels, selection, out.lse_others, coefficient, gradient, masked, memory,
               stream);
}

void sequence_log_probs(const SequenceRows& batch, const double* row_log_prob, bool empty_allowed,
                        const SequenceSums& out, Stream stream) {
  constexpr const char* call = "cuda::sequence_log_probs";
  if (pairs_of(batch.sequences) == 0) return;
  check_sequences(call, batch);
  check_sums(call, "out", out);
  require(row_log_prob != nullptr, "{}: row_log_prob is null", call);
  launch::sequence_log_probs(batch, row_log_prob, empty_allowed, out,
                             sequence_blocks(call, batch.sequences), stream);
}

void row_coefficients(const SequenceRows& batch, const SequenceSums& sums,
                      const PairValues& d_chosen, const PairValues& d_rejected,
                      const PairValues& upstream, double nll_scale, double* coefficient,
                      Stream stream) {
  constexpr const char* call = "cuda::row_coefficients";
  if (pairs_of(batch.sequences) == 0) return;
  check_sequences(call, batch);
  check_sums(call, "sums", sums);
  detail::require_values(call, "", "d_chosen", d_chosen);
  detail::require_values(call, "", "d_rejected", d_rejected);
  detail::require_values(call, "", "upstream", upstream);
  require(coefficient != nullptr, "{}: coefficient is null", call);
  launch::row_coefficients(batch, sums, d_chosen, d_rejected, upstream, nll_scale, coefficient,
                           sequence_blocks(call, batch.sequences), stream);
}

}  // namespace sp2dpo::cuda
