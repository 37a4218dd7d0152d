// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "batch.hpp"

namespace sp2dpo::benchmarks {

/// One call of the library on one shape, with the times of its rivals in seconds.
struct Row {
  Shape shape;
  std::string op;
  int threads = 1;
  bool metrics = false;  ///< both sides also compute the numbers that a trainer logs
  double seconds = 0;
  double spread = 0;  ///< of `seconds`: see Timing
  std::optional<double> eager{};
  std::optional<double> eager_logsumexp{};
  std::optional<double> eager_retained{};
  std::optional<double> floor{};
};

/// Return the head of a table and one line of it, without a newline.
std::string table_head();
std::string table_line(const Row& row);

/// Returns a JSON object on one line.
std::string json(const Row& row);

}  // namespace sp2dpo::benchmarks
