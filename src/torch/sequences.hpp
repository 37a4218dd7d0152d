// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include "views.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {

/// Runs f, and turns this library's exceptions into c10::Error.
template <class F>
decltype(auto) as_torch_errors(F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& error) {
    TORCH_CHECK(false, "sp2dpo::Loss: ", error.what());
  }
}

/// Returns the labels, contiguous. Throws c10::Error unless they are int64, have the shape of the
/// rows of `rows`, and are on their device, or on the CPU if `or_on_cpu`.
at::Tensor checked_labels(const char* name, const at::Tensor& rows, const at::Tensor& labels,
                          bool or_on_cpu = false);

/// Returns whether log-probabilities are means over a response's tokens.
inline bool averages(const AnyObjective& objective, const LossOptions& options) {
  return options.average_log_prob || objective.averages_log_probs();
}

/// The sequences of a layout, and the lists that they point to.
struct LayoutSequences {
  LayoutSequences(const at::Tensor& rows, const PairLayout& layout);

  /// Returns a copy with the lists on a device.
  [[nodiscard]] LayoutSequences on(const at::Device& device) const;

  Sequences sequences;
  at::Tensor cu_seqlens, chosen, rejected;

 private:
  void point_at_lists();
};

/// The labels of a batch and the pairs that its rows form. Labels on a device are not read: all
/// rows of a sequence count as its pair's, and kernels skip the masked ones.
struct LabelledPairs {
  /// Throws c10::Error for labels that checked_labels refuses, for a layout that does not fit and,
  /// if the options say so, for a pair with an empty response.
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
  std::int64_t chosen_row_count = 0;  ///< rows of the chosen sequences of the pairs that count
  at::Tensor counted;                 ///< bool [P], or undefined if all count
};

/// Returns the divisor of the NLL term.
double nll_tokens(const LabelledPairs& pairs, const LossOptions& options);

/// A checked call of a loss of sequences, except for its rows. Borrows its arguments.
struct SequenceCall {
  /// Sets the scale of `outputs`, and returns the loss that writes them.
  [[nodiscard]] SequenceLoss loss(PairOutputs& outputs) const;
  [[nodiscard]] bool averages() const { return sp2dpo::averages(objective, options); }

  const AnyObjective& objective;
  const LossOptions& options;
  const Controls& controls;
  const LabelledPairs& pairs;
  const at::Tensor& reference;  ///< float64 [2, P], or undefined
  at::ScalarType dtype;         ///< of what is returned
};

/// A loss to be returned, and its record.
struct LossAndRecord {
  at::Tensor loss;
  detail::PairRecord record{};
};

}  // namespace sp2dpo
