// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <sp2dpo/cpu/executor.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {

/// libtorch's threads, for the row kernels.
struct ParallelFor {
  void operator()(std::int64_t n, std::int64_t grain, cpu::Task task) const {
    at::parallel_for(0, n, grain, task);
  }
};

/// Runs f; what this library throws becomes what libtorch's users catch.
template <class F>
decltype(auto) as_torch_errors(F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& error) {
    TORCH_CHECK(false, "sp2dpo::Loss: ", error.what());
  }
}

/// The rows of a tensor [S, T, C] or [R, C] whose last dimension is dense.
RowLayout row_layout(const at::Tensor& tensor);

/// Throws c10::Error unless `tensor` is such a tensor and floating.
void check_rows_tensor(const char* name, const at::Tensor& tensor);

/// The labels, contiguous. Throws c10::Error unless they are int64, of the shape of the rows of
/// `rows` and on their device or, where that will do, on the CPU.
at::Tensor checked_labels(const char* name, const at::Tensor& rows, const at::Tensor& labels,
                          bool or_on_cpu = false);

/// Whether answers' log-probabilities are means over their tokens.
inline bool averages(const AnyObjective& objective, const LossOptions& options) {
  return options.average_log_prob || objective.averages_log_probs();
}

/// The shape of a tensor's rows: all but its last dimension.
inline at::IntArrayRef row_shape(const at::Tensor& tensor) {
  return tensor.sizes().slice(0, static_cast<std::size_t>(tensor.dim() - 1));
}

/// The sequences of a layout, and the lists that it points at.
struct LayoutSequences {
  LayoutSequences(const at::Tensor& rows, const PairLayout& layout);

  /// Copies of the lists on a device.
  [[nodiscard]] LayoutSequences on(const at::Device& device) const;

  Sequences sequences;
  at::Tensor cu_seqlens, chosen, rejected;

 private:
  void point_at_lists();
};

/// The labels of a batch and the pairs that its rows make up. Labels on a device are not looked at:
/// there, all rows of a sequence are taken for its pair's, and kernels pass over the masked ones.
struct LabelledPairs {
  /// Throws c10::Error for labels that checked_labels does not take, a layout that does not fit,
  /// and, where the options say so, a pair with an answer without rows.
  LabelledPairs(const char* name, const at::Tensor& row_tensor, const at::Tensor& labels,
                const PairLayout& layout, const LossOptions& options, bool or_on_cpu = false);

  [[nodiscard]] RowLabels row_labels() const {
    return {labels.data_ptr<std::int64_t>(), ignore_index};
  }
  [[nodiscard]] std::int64_t pairs() const { return rows.pairs(); }

  at::Tensor labels;  ///< contiguous, by row number
  std::int64_t ignore_index;
  LayoutSequences layout;  ///< where the labels are
  PairRows rows;
  std::int64_t valid_pairs = 0;
  std::int64_t chosen_rows = 0;  ///< of the pairs that count
  at::Tensor counted;            ///< bool [P], or undefined where all count
};

/// The NLL's divisor.
double nll_tokens(const LabelledPairs& pairs, const LossOptions& options);

/// What sequence_step is to make of these pairs. `outputs` gets its scale; `reference` is float64
/// [2, P], or undefined where there is none.
SequenceLoss sequence_loss(const LabelledPairs& pairs, const AnyObjective& objective,
                           const LossOptions& options, const Controls& controls,
                           const at::Tensor& reference, PairOutputs& outputs);

/// What is kept of them: `rows` and the policy's log-probabilities [2, P] are float64; `logit_sum`
/// is by row number, or undefined where no mean logits are wanted.
detail::PairRecord record_of_answers(const LabelledPairs& pairs, const LossOptions& options,
                                     const Controls& controls, const at::Tensor& rows,
                                     const at::Tensor& policy, const SequenceLoss& loss,
                                     const at::Tensor& logit_sum, std::int64_t vocab,
                                     const LossSum& sum, at::ScalarType dtype);

/// Log-probabilities of answers [2, P], float64, from those of their rows.
at::Tensor answers(const LabelledPairs& pairs, const at::Tensor& row_log_prob, bool average);

/// Row of a float64 tensor [n, P].
inline double* row_of(const at::Tensor& tensor, std::int64_t row) {
  return tensor.data_ptr<double>() + row * tensor.stride(0);
}

}  // namespace sp2dpo
