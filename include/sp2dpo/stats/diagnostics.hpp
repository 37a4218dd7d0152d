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

/// Figures of one annotator, without intervals. A judgment is everything that the annotator said
/// about one pair under one prompt; its verdict is the sign of its mean signed gap.
struct Diagnostics {
  std::int64_t annotations{};
  Estimate parse_rate{};            ///< judgments over pairs × prompts
  Estimate positional_agreement{};  ///< position consistency: same verdict in both orders
  Estimate first_preferred{};       ///< position bias: share that prefers the response shown first
  Estimate longer_preferred{};      ///< length bias: share that prefers the longer response
  Estimate length_correlation{};    ///< Spearman's, of gap and chosen minus rejected length
  Estimate leave_one_out{};         ///< Spearman's, of gap and mean of the others' gaps
  Estimate mean_shift{};            ///< mean of gap minus mean of the others' gaps
};

/// Facts about the pairs that annotations lack.
struct DiagnosticsOptions {
  std::int64_t n_pairs = 0;  ///< pairs asked about; 0 = pairs with any annotation
  /// Returns the length of the chosen response minus that of the rejected one, in any unit, and
  /// throws for an unknown pair. If empty, the figures about length are undefined.
  std::function<double(std::string_view pair_id)> length_difference{};
};

/// Computes the figures of every annotator, by name. An annotator's gap of a pair is the median
/// over its prompts.
[[nodiscard]] std::map<std::string, Diagnostics> diagnose(std::span<const Annotation> annotations,
                                                          const DiagnosticsOptions& options = {});

}  // namespace sp2dpo::stats
