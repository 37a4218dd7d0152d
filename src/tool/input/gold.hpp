// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <sp2dpo/io/manifest.hpp>
#include <sp2dpo/schedule/pair_ids.hpp>

namespace sp2dpo::tool {

/// Which response people prefer.
struct GoldLabel {
  std::string pair_id;
  double preferred;  ///< 1 chosen, −1 rejected, 0 tie
};

/// The gold labels of some pairs.
struct Gold {
  std::vector<GoldLabel> labels;  ///< in the file's order
  io::InputFile file;
};

/// Reads a CSV file with the columns pair_id, preferred. Throws DataError for an unknown or
/// duplicate pair, an invalid label, and a file without labels.
[[nodiscard]] Gold read_gold(const std::string& file, const PairIds& pair_ids);

}  // namespace sp2dpo::tool
