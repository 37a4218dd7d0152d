// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "train.hpp"

#include <sp2dpo/report/svg.hpp>

namespace quickstart {

/// One line per point of each run, warm-up included.
[[nodiscard]] std::string metrics_csv(const Results& results);

/// Held-out accuracy and margin by step; empty where no run has come to a second point.
[[nodiscard]] std::vector<sp2dpo::report::Panel> training_panels(const Results& results);

/// The arms beside each other, and what may be said of their differences.
[[nodiscard]] std::string comparison(const Results& results);

}  // namespace quickstart
