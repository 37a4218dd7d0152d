// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/loss/pair_loss.hpp>

struct Exponential {
#ifdef SP2DPO_WRONG
  double operator()(double z) const {
    return std::exp(-z);
  }
#else
  sp2dpo::ZTerm<double> operator()(double z) const {
    return {std::exp(-z), -std::exp(-z)};
  }
#endif
};

double loss() {
  return sp2dpo::pair_loss({}, {}, 0, 1, Exponential{});
}
