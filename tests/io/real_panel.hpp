// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "files.hpp"

namespace sp2dpo::test {

/// A real panel of the shared data: 419 pairs, the votes on them, and the gaps expected from the
/// votes, which were computed independently in exact fractions.
struct RealPanel {
  std::filesystem::path pairs = shared_data("pairs/llmbar_419.jsonl");
  std::filesystem::path votes = shared_data("panel/llmbar_votes.csv");
  std::filesystem::path expected = shared_data("panel/llmbar_jmamp_expected.csv");

  [[nodiscard]] bool is_missing() const {
    return pairs.empty() || votes.empty() || expected.empty();
  }

  /// The command that imports the votes into a.jsonl.
  [[nodiscard]] std::string import_command() const {
    return "import-votes --pairs '" + pairs.string() + "' --votes '" + votes.string() +
           "' --annotators GPT-4,ChatGPT,PaLM2 --prompts Vanilla,CoT,Metrics_Reference "
           "--category instruction --out a.jsonl";
  }

  /// {id of a pair: {column of the file: gap of chosen over rejected}}.
  [[nodiscard]] std::map<std::string, std::map<std::string, double>> expected_gaps() const {
    const auto split = [](const std::string& line) {
      std::vector<std::string> cells;
      std::istringstream stream(line);
      for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
      return cells;
    };
    std::ifstream file(expected);
    std::string line;
    std::getline(file, line);
    const auto columns = split(line);  // pair_id, gold_sign, gaps
    std::map<std::string, std::map<std::string, double>> gaps;
    while (std::getline(file, line)) {
      const auto cells = split(line);
      for (std::size_t i = 2; i < columns.size(); ++i)
        gaps[cells.at(0)][columns[i]] = std::stod(cells.at(1)) * std::stod(cells.at(i));
    }
    return gaps;
  }
};

}  // namespace sp2dpo::test
