// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::report {

/// The betas of one category.
struct BetaRow {
  std::string name;
  std::size_t pairs;
  std::array<double, 5> quartiles;  ///< smallest, 25 %, median, 75 %, largest
  std::optional<double> mean_gap;
};

/// One row for each category that occurs, one for pairs without a gap, one for all. Throws
/// InvalidArgument for a schedule without pairs.
[[nodiscard]] std::vector<BetaRow> beta_rows(const ScheduleView& schedule);

}  // namespace sp2dpo::report
