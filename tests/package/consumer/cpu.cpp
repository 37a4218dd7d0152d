// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>

#include <sp2dpo/cpu/rows.hpp>

int main() {
  const float logits[] = {0, 0, 0, 0};
  const std::int64_t label = 2;
  double log_prob = 0;
  sp2dpo::cpu::row_log_probs({.data = logits, .rows = 1, .vocab = 4, .layout = {.stride = 4}},
                             {.label = &label}, {.count = 1}, {.log_prob = &log_prob});
  return std::fabs(log_prob + std::log(4)) < 1e-6 ? 0 : 1;
}
