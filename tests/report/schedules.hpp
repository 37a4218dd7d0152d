// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {

inline ScheduleEntry entry(double beta, std::size_t category = 0, Clip clipped = Clip::none) {
  static int number = 0;
  return {.id = "pair" + std::to_string(number++),
          .beta = beta,
          .gap = SemanticGap{.value = (beta - 0.03) / 0.27,
                             .category = static_cast<Category>(category)},
          .clipped = clipped};
}

inline ScheduleEntry entry_without_gap(double beta) {
  auto result = entry(beta);
  result.gap.reset();
  return result;
}

/// Makes `n` betas spread evenly over [0.03, 0.3], alternating between two categories.
inline std::vector<ScheduleEntry> even_entries(int n) {
  std::vector<ScheduleEntry> entries;
  for (int i = 0; i < n; ++i)
    entries.push_back(entry(0.03 + 0.27 * (i + 0.5) / n, i % 2 == 0 ? 0 : 5));
  return entries;
}

}  // namespace sp2dpo
