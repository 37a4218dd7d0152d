// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "batch.hpp"

namespace sp2dpo::benchmarks {

/// One way to call the library on one shape, with its contenders; all times in seconds.
struct Row {
  Shape shape;
  std::string op;
  int threads = 1;
  bool metrics = false;  ///< both sides compute the metrics that a trainer logs
  double seconds = 0;
  double spread = 0;  ///< of `seconds`: see Timing
  std::optional<double> eager{};
  std::optional<double> eager_logsumexp{};
  std::optional<double> eager_retained{};
  std::optional<double> floor{};
};

/// The header of the table, and one line of it, without a line end.
std::string table_head();
std::string table_line(const Row& row);

/// A JSON object on one line.
std::string json(const Row& row);

}  // namespace sp2dpo::benchmarks
