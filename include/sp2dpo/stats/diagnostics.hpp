// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// What one annotator's annotations look like beside the others'. An answer is what it said under
/// one prompt, of one pair; its verdict is the sign of its mean signed gap. No figure has an
/// interval.
struct Diagnostics {
  std::int64_t annotations{};
  Estimate parse_rate{};            ///< pairs with an answer, over all pairs and its prompts
  Estimate positional_agreement{};  ///< same verdict in both orders; of answers asked in both
  Estimate
      first_preferred{};  ///< the answer shown first was preferred; of annotations with an order
  Estimate longer_preferred{};    ///< the longer answer was preferred, ties and equal lengths aside
  Estimate length_correlation{};  ///< Spearman's, of gap and chosen minus rejected length, by pair
  Estimate leave_one_out{};       ///< Spearman's, of gap and mean of the others' gaps, by pair
  Estimate mean_shift{};          ///< mean of gap minus mean of the others' gaps
};

struct DiagnosticsOptions {
  std::int64_t n_pairs = 0;  ///< all that were asked; 0: those with an annotation by anyone
  /// By pair id: length of the chosen answer minus that of the rejected one, in any unit; empty:
  /// not known. Throws where a pair is missing from it.
  std::function<double(std::string_view pair_id)> length_difference{};
};

/// By annotator. A pair's gap of an annotator is the median over its prompts.
[[nodiscard]] std::map<std::string, Diagnostics> diagnose(std::span<const Annotation> annotations,
                                                          const DiagnosticsOptions& options = {});

}  // namespace sp2dpo::stats
