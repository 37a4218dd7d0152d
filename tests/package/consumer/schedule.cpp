// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <sp2dpo/schedule/aggregate.hpp>

int main() {
  sp2dpo::VoteTable votes({"p", "q"}, {}, 1);
  for (const char* pair : {"p", "q"})
    votes.add(
        {.pair_id = pair, .annotator = "a", .prompt = "x", .magnitude = 0.5, .confidence = 1});
  double sum = 0;
  sp2dpo::map_gaps(sp2dpo::aggregate_spooled(votes, sp2dpo::Jmamp{}), sp2dpo::Linear{})
      .for_each([&](const sp2dpo::ScheduleEntry& entry) { sum += entry.beta; });
  return std::fabs(sum - 0.33) < 1e-12 ? 0 : 1;
}
