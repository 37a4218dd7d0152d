// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "fields.hpp"
#include "operator_arguments.hpp"
#include "pairs.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/torch/loss_output.hpp>

/// The results of the operators. Each struct lists its members and their names in a schema once,
/// for pack(), unpack() and result_list().
namespace sp2dpo::operators {

template <std::size_t n, std::size_t m>
constexpr std::array<const char*, n + m> joined(const std::array<const char*, n>& a,
                                                const std::array<const char*, m>& b) {
  std::array<const char*, n + m> all{};
  for (std::size_t i = 0; i < n; ++i) all[i] = a[i];
  for (std::size_t i = 0; i < m; ++i) all[n + i] = b[i];
  return all;
}

/// The results of log_probs_loss.
struct LogProbsResults {
  Tensor loss, chosen_rewards, rejected_rewards;

  static constexpr std::array names{"loss", "chosen_rewards", "rejected_rewards"};
  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.loss, &self.chosen_rewards, &self.rejected_rewards};
  }
};

/// The results of log_probs_loss_forward.
struct LogProbsForwardResults {
  Tensor loss, columns;

  static constexpr std::array names{"loss", "columns"};
  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.loss, &self.columns};
  }
};

/// The results of row_log_probs.
struct RowLogProbsResults {
  Tensor log_prob, lse_others;

  static constexpr std::array names{"log_prob", "lse_others"};
  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.log_prob, &self.lse_others};
  }
};

/// The results of row_log_probs_and_gradient.
struct RowGradientResults {
  Tensor log_prob, lse_others, gradient;

  static constexpr std::array names{"log_prob", "lse_others", "gradient"};
  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.log_prob, &self.lse_others, &self.gradient};
  }
};

/// The results of logits_loss and hidden_loss, and the first results of the operators below them.
struct SequenceResults {
  Tensor loss, chosen_logps, rejected_logps, chosen_rewards, rejected_rewards;

  static constexpr std::array names{"loss", "chosen_logps", "rejected_logps", "chosen_rewards",
                                    "rejected_rewards"};
  template <class Self>
  static auto members(Self& self) {
    return std::array{&self.loss, &self.chosen_logps, &self.rejected_logps, &self.chosen_rewards,
                      &self.rejected_rewards};
  }
};

/// The results of logits_loss_forward.
struct LogitsForwardResults {
  SequenceResults sequences;
  Tensor lse_others, coefficient, pair_of_row, d_beta, d_margin;

  static constexpr auto names =
      joined(SequenceResults::names,
             std::array{"lse_others", "coefficient", "pair_of_row", "d_beta", "d_margin"});
  template <class Self>
  static auto members(Self& self) {
    auto& s = self.sequences;
    return std::array{&s.loss,           &s.chosen_logps,     &s.rejected_logps,
                      &s.chosen_rewards, &s.rejected_rewards, &self.lse_others,
                      &self.coefficient, &self.pair_of_row,   &self.d_beta,
                      &self.d_margin};
  }
};

/// The results of logits_loss_value_and_grad.
struct LogitsGradientResults {
  SequenceResults sequences;
  Tensor d_logits, row_scale;

  static constexpr auto names = joined(SequenceResults::names, std::array{"d_logits", "row_scale"});
  template <class Self>
  static auto members(Self& self) {
    auto& s = self.sequences;
    return std::array{&s.loss,           &s.chosen_logps,     &s.rejected_logps,
                      &s.chosen_rewards, &s.rejected_rewards, &self.d_logits,
                      &self.row_scale};
  }
};

/// The results of hidden_loss_forward.
struct HiddenForwardResults {
  SequenceResults sequences;
  Tensor d_hidden, d_head_weight, d_head_bias, d_beta, d_margin;

  static constexpr auto names =
      joined(SequenceResults::names,
             std::array{"d_hidden", "d_head_weight", "d_head_bias", "d_beta", "d_margin"});
  template <class Self>
  static auto members(Self& self) {
    auto& s = self.sequences;
    return std::array{&s.loss,
                      &s.chosen_logps,
                      &s.rejected_logps,
                      &s.chosen_rewards,
                      &s.rejected_rewards,
                      &self.d_hidden,
                      &self.d_head_weight,
                      &self.d_head_bias,
                      &self.d_beta,
                      &self.d_margin};
  }
};

/// A column of a PairTable in memory of its own.
Tensor column_of(const Tensor& columns, OutputColumn column, at::ScalarType dtype);

/// The results of a loss of sequences, each in memory of its own.
SequenceResults results_of(const Tensor& loss, const detail::PairRecord& record);

// Results for meta tensors: sizes and types without values.
Tensor unmade(const Tensor& like, at::ScalarType dtype);
/// Also refuses a wrong objective or reduction, so that tracing finds it.
Tensor unmade_loss(const Arguments& arguments, at::ScalarType dtype);
SequenceResults unmade_results(const Arguments& arguments, at::ScalarType dtype);

}  // namespace sp2dpo::operators
