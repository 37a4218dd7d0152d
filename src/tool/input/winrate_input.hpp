// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/stats/win_rate.hpp>

namespace sp2dpo::tool {

/// A model's rows by instruction; empty where there is no preference.
struct Model {
  std::string name;
  std::map<std::string, std::optional<stats::Comparison>> rows{};
};

/// By instruction.
using Difficulties = std::map<std::string, double>;

/// What a command line names as input.
struct WinRateInput {
  std::vector<Model> models;
  std::string judge{};     ///< as the files say; empty where they do not
  std::string baseline{};  ///< likewise
};

/// A CSV file with the columns difficulty and `key`. Throws DataError as the readers below.
[[nodiscard]] Difficulties read_difficulties(const std::string& file, const char* key);

/// A CSV file with the columns tanh_std_delta_len, difficulty, pseudo_preference.
[[nodiscard]] std::vector<stats::GamedRow> read_gamed(const std::string& file);

/// A CSV file with the columns model, index, len_baseline, len_model, preference; all models have
/// rows for the same instructions. `difficulties` may be null.
[[nodiscard]] WinRateInput read_preferences(const std::string& file,
                                            const Difficulties* difficulties);

/// AlpacaEval's annotations.json of one model or more, by the instructions' hashes; otherwise as
/// read_preferences(). All files have the same judge and baseline.
[[nodiscard]] WinRateInput read_official(const std::vector<std::string>& files,
                                         const Difficulties* difficulties);

}  // namespace sp2dpo::tool
