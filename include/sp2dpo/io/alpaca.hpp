// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sp2dpo::io {

/// One record of AlpacaEval: a judge's preference between a model's response and the baseline's.
struct AlpacaVerdict {
  std::string instruction_id;  ///< first 16 hex digits of the instruction's SHA-256
  std::string instruction;
  std::string baseline;         ///< `generator_1`
  std::string model;            ///< `generator_2`
  std::string judge;            ///< `annotator`; empty if not recorded
  std::int64_t len_baseline{};  ///< length of the response in Unicode code points
  std::int64_t len_model{};
  std::optional<double> preference{};  ///< 1 baseline to 2 model, 0 a draw; empty if missing
};

/// Reads an `annotations.json`: a list of objects with instruction, output_1, generator_1,
/// output_2, generator_2, preference. Throws DataError naming the record and field that are
/// wrong.
[[nodiscard]] std::vector<AlpacaVerdict> read_alpaca(const std::filesystem::path& path);

}  // namespace sp2dpo::io
