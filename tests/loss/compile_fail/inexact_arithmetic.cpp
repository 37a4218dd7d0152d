// SPDX-License-Identifier: Apache-2.0
#ifdef SP2DPO_WRONG
#define __FAST_MATH__ 1  // as -ffast-math and -Ofast define it
#endif
#include <sp2dpo/loss/pair_loss.hpp>

double loss() {
  return sp2dpo::pair_loss({}, {}, 0, 1, sp2dpo::Sigmoid());
}
