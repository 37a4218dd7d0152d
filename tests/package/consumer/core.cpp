// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <sp2dpo/schedule/aggregators.hpp>
#include <sp2dpo/schedule/controls.hpp>
#include <sp2dpo/schedule/map_gaps.hpp>

int main() {
  const sp2dpo::Annotation annotations[] = {
      {.pair_id = "p", .annotator = "a", .prompt = "x", .magnitude = 0.5, .confidence = 1}};
  sp2dpo::Gaps gaps;
  gaps.add({.id = "p", .gap = sp2dpo::Jmamp{}(annotations), .n_annotations = 1});
  const auto schedule = sp2dpo::inverted(sp2dpo::map_gaps(gaps, sp2dpo::Linear{}));
  return std::fabs(schedule.find("p")->beta - 0.165) < 1e-12 ? 0 : 1;
}
