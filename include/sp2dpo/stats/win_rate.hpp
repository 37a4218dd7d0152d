// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sp2dpo::stats {

/// A judge's verdict on a model's answer beside the baseline's to the same instruction.
struct Comparison {
  double len_baseline{};  ///< characters
  double len_model{};
  double win{};         ///< in [0, 1]: probability that the model's answer is the better one
  double difficulty{};  ///< of the instruction; 0 where it is not known
};

/// A row that ties the effect of length to the baseline's: the baseline asked to be concise or
/// verbose, against itself.
struct GamedRow {
  double tanh_length{};  ///< tanh of the standardised difference of lengths
  double difficulty{};
  double win{};
};

/// AlpacaEval 2's length control. `c` is the inverse strength of the L1 penalty, as scikit-learn's.
struct LengthControl {
  bool use_difficulty = true;
  std::span<const GamedRow> gamed{};  ///< each with weight 0.1
  double c = 21.5443469;
};

/// In percent.
struct WinRate {
  double value{};
  std::optional<double> standard_error{};  ///< spread over instructions; empty for one comparison
};

struct LengthControlledWinRate {
  std::optional<WinRate> rate{};
  std::string reason{};             ///< why there is no rate
  std::array<double, 3> weights{};  ///< of tanh length, of difficulty, of the model itself
};

/// The share of wins. Throws InvalidArgument without comparisons, or for a win outside [0, 1].
[[nodiscard]] WinRate win_rate(std::span<const Comparison> comparisons);

/// The share of wins that a logistic regression predicts at equal lengths. Undefined where all
/// differences of lengths are equal, so that they have no scale. Throws as win_rate(), and for
/// a `c` that is not positive.
[[nodiscard]] LengthControlledWinRate length_controlled_win_rate(
    std::span<const Comparison> comparisons, const LengthControl& control);

}  // namespace sp2dpo::stats
