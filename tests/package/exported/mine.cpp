// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/schedule/spooled_gaps.hpp>

std::size_t n_missing() {
  return sp2dpo::SpooledGaps(sp2dpo::Categories()).n_missing();
}
