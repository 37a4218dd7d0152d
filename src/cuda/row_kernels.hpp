// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include <sp2dpo/cuda/row_memory.hpp>
#include <sp2dpo/cuda/sequence_rows.hpp>
#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/pair_values.hpp>

namespace sp2dpo::cuda {

[[nodiscard]] inline std::int64_t pairs_of(const Sequences& sequences) {
  return sequences.layout == Sequences::Layout::listed ? sequences.pairs : sequences.count / 2;
}

/// Throws InvalidArgument, in the name of `call`, if an array of `sums` is null; `name` is what the
/// call's caller knows it by.
inline void check_sums(const char* call, const char* name, const SequenceSums& sums) {
  for (const auto& [array, member] : {std::pair<const void*, const char*>{sums.chosen, ".chosen"},
                                      {sums.rejected, ".rejected"},
                                      {sums.chosen_row_counts, ".chosen_row_counts"},
                                      {sums.rejected_row_counts, ".rejected_row_counts"}})
    if (array == nullptr)
      throw InvalidArgument(std::string(call) + ": " + name + member +
                            " is null; expected one value per pair");
}

}  // namespace sp2dpo::cuda

/// The launches behind the calls of rows.hpp, with checked arguments.
namespace sp2dpo::cuda::launch {

/// A thread block's sum over its part of a row: 2^k · sum is Σ exp(logit).
struct PartialSum {
  double plain;
  float k, sum;
};

/// A row's gradient: scale · 2^(x · log2e − k) everywhere, `at_label` at the label.
struct StoredScale {
  float k, scale, at_label;
};

/// The arguments of any pass over rows, passed to kernels by value.
struct RowPass {
  LogitRows logits;
  RowLabels labels;
  RowSelection selection;
  RowStatistics statistics{};
  std::uint64_t* bad_row = nullptr;
  PartialSum* partial = nullptr;  ///< [parts, rows selected], where parts > 1
  StoredScale* scales = nullptr;  ///< [rows selected], where parts > 1
  const double* lse_others = nullptr;
  const double* coefficient = nullptr;
  GradientRows gradient{};
  MaskedRows masked{};
};

/// `parts` thread blocks share a row.
void log_probs(const RowPass& pass, int parts, Stream stream);
void gradient(const RowPass& pass, int parts, Stream stream);

/// Does both in one pass. Returns false, with nothing done, if the device or the row's size does
/// not allow it. The gradient is aligned like the logits.
[[nodiscard]] bool log_probs_and_gradient(const RowPass& pass, Stream stream);

/// One thread block per sequence.
void sequence_log_probs(const SequenceRows& batch, const double* row_log_prob, bool empty_allowed,
                        const SequenceSums& out, unsigned blocks, Stream stream);
void row_coefficients(const SequenceRows& batch, const SequenceSums& sums,
                      const PairValues& d_chosen, const PairValues& d_rejected,
                      const PairValues& upstream, double nll_scale, double* coefficient,
                      unsigned blocks, Stream stream);

}  // namespace sp2dpo::cuda::launch
