// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::report {

/// Statistics of the betas of one category.
struct BetaRow {
  std::string name;
  std::size_t pairs;
  std::array<double, 5> quartiles;  ///< smallest, 25 %, median, 75 %, largest
  std::optional<double> mean_gap;
};

/// Returns a row for each category that occurs, one for the pairs without a gap, and one for all
/// pairs. Throws InvalidArgument for an empty schedule.
[[nodiscard]] std::vector<BetaRow> beta_rows(const ScheduleView& schedule);

}  // namespace sp2dpo::report
