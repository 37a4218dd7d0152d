// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// The calls of sp2dpo::cuda on a tensor's device and its current stream, with memory of libtorch's
/// allocator. All throw c10::Error, where this build has no CUDA too.
namespace sp2dpo::on_cuda {

/// The pair loop; `total` (one number) becomes out.gradient_scale · Σ weight · value.
void pair_loss(const AnyObjective& objective, const PairInputs& in, const PairOutputs& out,
               std::int64_t pairs, const at::Tensor& total);

/// A pass over all rows. `bad_row` (int64, one number) becomes the lowest row number with a label
/// outside the vocabulary if that is lower as an unsigned number than what it holds.
void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowStatistics& out,
                   const at::Tensor& bad_row);
void row_gradient(const LogitRows& logits, const RowLabels& labels, const double* lse_others,
                  const double* coefficient, const GradientRows& out, const at::Device& device);
void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowStatistics& out, const double* coefficient,
                                const GradientRows& gradient, const at::Tensor& bad_row);

/// The loss from hidden states; `sums` and `rows` as of sequence_log_probs, the slopes float64 [P].
/// Workspace and the lists of the pairs' rows are put on the device here.
void hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
                 const at::Tensor& sums, const at::Tensor& counts, const at::Tensor& d_chosen,
                 const at::Tensor& d_rejected, const at::Tensor& bad_row,
                 const ConstMatrix& reference, bool empty_allowed);
void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, bool average,
                      std::int64_t chunk_rows, const at::Tensor& sums, const at::Tensor& counts);
/// As cuda::hidden_chunk_rows.
std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes, bool with_reference,
                               const at::Device& device);

/// The answers' log-probabilities from those of their rows [R]: `sums` is float64 [2, P], `rows`
/// int64 [2, P], the number of those that count. The arrays of `sequences` are on the device.
void sequence_log_probs(const Sequences& sequences, const RowLabels& labels,
                        const at::Tensor& row_log_prob, bool average, bool empty_allowed,
                        const at::Tensor& sums, const at::Tensor& rows);

/// What the gradient pass takes, float64 [R], from slopes by pair and what sequence_log_probs wrote.
void row_coefficients(const Sequences& sequences, const RowLabels& labels, bool average,
                      const at::Tensor& sums, const at::Tensor& rows, const PairValues& d_chosen,
                      const PairValues& d_rejected, double nll_scale,
                      const at::Tensor& coefficient);

}  // namespace sp2dpo::on_cuda
