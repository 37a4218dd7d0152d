// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/gaps.hpp>
#include <sp2dpo/schedule/schedule.hpp>

namespace sp2dpo {

/// The policy of map_gaps() for a pair without a gap: throw, leave the pair out, or give it `beta`.
struct Missing {
  /// The three choices.
  enum class Policy : std::uint8_t { error, drop, base_beta };

  Policy policy = Policy::error;
  double beta{};  ///< for base_beta
};

namespace detail {

/// Adds the entries of all pairs to `schedule`, a Schedule or a SpooledSchedule.
template <class S, GapTable G, BetaMapper M>
[[nodiscard]] S mapped(const G& gaps, const M& to_beta, const Missing& missing, S schedule) {
  ScheduleEntry entry;
  gaps.for_each([&](const PairGap& pair) {
    require(pair.gap || missing.policy != Missing::Policy::error,
            "pair {} has {} annotations, too few for a gap", pair.id, pair.n_annotations);
    if (!pair.gap && missing.policy == Missing::Policy::drop) return;
    entry.id = pair.id;
    entry.gap = pair.gap;
    entry.clipped = Clip::none;
    if constexpr (ClippingMapper<M>)
      if (pair.gap) entry.clipped = to_beta.clip(*pair.gap);
    entry.beta = pair.gap ? to_beta(*pair.gap) : missing.beta;
    schedule.add(entry);
  });
  return schedule;
}

}  // namespace detail

/// Maps every gap to a beta; the one place where a gap becomes a beta. Throws InvalidArgument that
/// names the first pair without a gap if `missing` says so, or a pair whose beta is not finite and
/// positive. A mapper that depends on all gaps is constructed first:
///
///     const Schedule flat = map_gaps(gaps, Rank(gap_values(gaps)));
template <BetaMapper M>
[[nodiscard]] Schedule map_gaps(const Gaps& gaps, const M& to_beta, const Missing& missing = {}) {
  return detail::mapped(gaps, to_beta, missing, Schedule({}, gaps.categories()));
}

}  // namespace sp2dpo
