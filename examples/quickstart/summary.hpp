// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "train.hpp"

#include <sp2dpo/report/svg.hpp>

namespace quickstart {

/// Writes one line per point of each run, warm-up included.
[[nodiscard]] std::string metrics_csv(const Results& results);

/// Returns held-out accuracy and margin by step; empty if no run reached a second point.
[[nodiscard]] std::vector<sp2dpo::report::CurveChart> training_panels(const Results& results);

/// Compares the arms, and says what their differences do and do not show.
[[nodiscard]] std::string comparison(const Results& results);

}  // namespace quickstart
