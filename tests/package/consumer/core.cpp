// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <sp2dpo/schedule/jmamp.hpp>
#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>

int main() {
  const sp2dpo::Annotation annotation{
      .pair_id = "p", .annotator = "a", .prompt = "x", .magnitude = 0.5, .confidence = 1};
  const auto schedule =
      sp2dpo::build_schedule({"p"}, std::vector{annotation}, sp2dpo::Jmamp{}, sp2dpo::Linear{});
  return std::fabs(schedule.find("p")->beta - 0.165) < 1e-12 ? 0 : 1;
}
