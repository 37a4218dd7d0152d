// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/stats/win_rate.hpp>

namespace sp2dpo::tool {

/// A model's comparisons by instruction; nullopt if the preference is missing.
struct Model {
  std::string name;
  std::map<std::string, std::optional<stats::Comparison>> rows{};
};

/// Difficulty by instruction.
using Difficulties = std::map<std::string, double>;

/// The input of a win rate.
struct WinRateInput {
  std::vector<Model> models;
  std::string judge{};     ///< as the files say; empty if they do not
  std::string baseline{};  ///< as the files say; empty if they do not
};

/// Reads a CSV file with the columns difficulty and `key`. Throws DataError.
[[nodiscard]] Difficulties read_difficulties(const std::string& file, const char* key);

/// Reads a CSV file with the columns tanh_std_delta_len, difficulty, pseudo_preference.
[[nodiscard]] std::vector<stats::GamedRow> read_gamed(const std::string& file);

/// Reads a CSV file with the columns model, index, len_baseline, len_model, preference, in which
/// all models have the same instructions. `difficulties` may be null.
[[nodiscard]] WinRateInput read_preferences(const std::string& file,
                                            const Difficulties* difficulties);

/// Reads AlpacaEval's annotations.json of one or more models, keyed by the instructions' hashes.
/// All files must have the same judge and baseline. `difficulties` may be null.
[[nodiscard]] WinRateInput read_official(const std::vector<std::string>& files,
                                         const Difficulties* difficulties);

}  // namespace sp2dpo::tool
