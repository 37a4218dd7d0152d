// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <sp2dpo/loss/pair_loss.hpp>

struct Scaled {
#ifdef SP2DPO_WRONG
  std::vector<double> scale{1};  // cannot go to a kernel by value
#else
  double scale[1] = {1};
#endif

  sp2dpo::ZTerm<double> operator()(double z) const {
    return {scale[0] * z, scale[0]};
  }
};

double loss() {
  return sp2dpo::pair_loss({}, {}, 0, 1, Scaled{});
}
