// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sp2dpo::stats {

/// A judge's verdict on the responses of a model and of a baseline to one instruction.
struct Comparison {
  double len_baseline{};  ///< length of the baseline's response in characters
  double len_model{};     ///< length of the model's response in characters
  double win{};           ///< probability that the model wins, in [0, 1]
  double difficulty{};    ///< difficulty of the instruction; 0 if unknown
};

/// A comparison of the baseline, told to be concise or verbose, with itself. Such rows anchor the
/// effect of length.
struct GamedRow {
  double tanh_length{};  ///< tanh of the standardised difference in length
  double difficulty{};
  double win{};
};

/// Settings of AlpacaEval 2's length control.
struct LengthControl {
  bool use_difficulty = true;         ///< include the instructions' difficulty
  std::span<const GamedRow> gamed{};  ///< rows of weight 0.1
  double c = 21.5443469;              ///< inverse strength of the L1 penalty, as in scikit-learn
};

/// A win rate in percent.
struct WinRate {
  double value{};
  std::optional<double> standard_error{};  ///< over instructions; empty for a single comparison
};

/// A length-controlled win rate and the weights of its regression.
struct LengthControlledWinRate {
  std::optional<WinRate> rate{};
  std::string reason{};             ///< why the rate is missing
  std::array<double, 3> weights{};  ///< of tanh length, difficulty, and the model
};

/// Computes the share of wins. Throws InvalidArgument if `comparisons` is empty or a `win` is
/// outside [0, 1].
[[nodiscard]] WinRate win_rate(std::span<const Comparison> comparisons);

/// Computes the share of wins that a logistic regression predicts for responses of equal length. It
/// is undefined if all differences in length are equal. Throws under the conditions of win_rate(),
/// and if `c` is not positive.
[[nodiscard]] LengthControlledWinRate length_controlled_win_rate(
    std::span<const Comparison> comparisons, const LengthControl& control);

}  // namespace sp2dpo::stats
