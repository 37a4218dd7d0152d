// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/stats/agreement.hpp>

int main() {
  sp2dpo::stats::Ratings ratings(2, 2);
  for (std::size_t rater = 0; rater < 2; ++rater) {
    ratings.set(0, rater, 1);
    ratings.set(1, rater, 2);
  }
  const auto alpha = krippendorff_alpha(ratings, sp2dpo::stats::Scale::nominal);
  return alpha.value == 1 ? 0 : 1;
}
