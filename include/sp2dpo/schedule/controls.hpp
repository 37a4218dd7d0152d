// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule.hpp>

/// Schedules made of a schedule, in memory (Schedule) or not (SpooledSchedule): other betas for
/// the same gaps, and the controls that say whether it is the gaps that matter. Pairs without a
/// gap keep the beta stated for them, except where it says otherwise. None depends on the order
/// of the pairs.
namespace sp2dpo {

/// The gaps of the pairs that have one, in the schedule's order.
template <class S>
[[nodiscard]] std::vector<double> gap_values(const S& schedule) {
  std::vector<double> gaps;
  schedule.for_each([&](const ScheduleEntry& entry) {
    if (entry.gap) gaps.push_back(entry.gap->value);
  });
  return gaps;
}

namespace detail {

/// `to_beta(entry)` in place of the beta of each entry that has a gap; no longer clipped.
template <class S, class ToBeta>
S with_betas(const S& schedule, const ToBeta& to_beta) {
  return schedule.changed([&](ScheduleEntry& entry) {
    if (!entry.gap) return;
    entry.clipped = Clip::none;
    entry.beta = to_beta(entry);
  });
}

/// 64 bits that look random, made of a seed and an id alone: SplitMix64's output function over the
/// id's bytes.
inline std::uint64_t bits_of(std::uint64_t seed, std::string_view id) {
  const auto mix = [](std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  };
  std::uint64_t bits = mix(seed);
  for (const char byte : id) bits = mix(bits ^ static_cast<unsigned char>(byte));
  return bits;
}

}  // namespace detail

/// The betas of another mapper, for one that is known only once all gaps are:
///
///     const Schedule flat = remap(schedule, Rank(gap_values(schedule)));
template <class S, BetaMapper M>
[[nodiscard]] S remap(const S& schedule, const M& to_beta) {
  return detail::with_betas(schedule, [&](ScheduleEntry& entry) {
    if constexpr (ClippingMapper<M>) entry.clipped = to_beta.clip(*entry.gap);
    return to_beta(*entry.gap);
  });
}

/// envelope.low + envelope.high − beta: the largest beta for the smallest gap. The schedule's betas
/// must lie within the envelope, or what comes out may be no beta.
template <class S>
[[nodiscard]] S inverted(const S& schedule, Interval envelope = Linear::default_envelope) {
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    return envelope.low + (envelope.high - entry.beta);
  });
}

/// The same betas, dealt to other pairs: their distribution stays, what they mean does not. The
/// seed and the pairs' ids decide who gets which.
template <class S>
[[nodiscard]] S shuffled(const S& schedule, std::uint64_t seed) {
  // Of two ids, 128 bits are the same in one case of 10³⁸.
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  const auto key_of = [seed](std::string_view id) {
    return Key{detail::bits_of(seed, id), detail::bits_of(~seed, id)};
  };
  std::vector<std::pair<std::uint64_t, double>> betas;  // in the order of other random bits
  std::vector<Key> keys;
  schedule.for_each([&](const ScheduleEntry& entry) {
    if (!entry.gap) return;
    const Key key = key_of(entry.id);
    keys.push_back(key);
    betas.emplace_back(key.second, entry.beta);
  });
  std::ranges::sort(betas);
  std::ranges::sort(keys);
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    const auto place = std::ranges::lower_bound(keys, key_of(entry.id)) - keys.begin();
    return betas[static_cast<std::size_t>(place)].second;
  });
}

/// Betas drawn evenly from the envelope: the seed and the pair's id decide, so that a pair's beta
/// is the same whichever pairs are beside it.
template <class S>
[[nodiscard]] S randomized(const S& schedule, std::uint64_t seed,
                           Interval envelope = Linear::default_envelope) {
  const Linear of_share(envelope, {0, 1});
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    return of_share(
        {.value = std::ldexp(static_cast<double>(detail::bits_of(seed, entry.id) >> 11), -53)});
  });
}

/// Mean of all betas, those of pairs without a gap included; throws InvalidArgument where there are
/// none. Added up by size, so that the order of the pairs does not matter.
template <class S>
[[nodiscard]] double mean_beta(const S& schedule) {
  detail::require(schedule.size() > 0, "the mean beta of no pairs");
  std::vector<double> betas;
  schedule.for_each([&](const ScheduleEntry& entry) { betas.push_back(entry.beta); });
  std::ranges::sort(betas);
  double sum = 0;
  for (const double beta : betas) sum += beta;
  return sum / static_cast<double>(betas.size());
}

/// Weights instead of betas: every pair, with a gap or without, gets β̄ = mean_beta(), and the
/// weight beta / β̄, whose mean is 1. At the start of training the gradients are those of the
/// schedule; what sets a beta apart from a weight shows later (docs/math.md).
template <class S>
[[nodiscard]] S weighted(const S& schedule) {
  const double mean = mean_beta(schedule);
  return schedule.changed([mean](ScheduleEntry& entry) {
    entry.weight = entry.beta / mean;
    entry.beta = mean;
  });
}

}  // namespace sp2dpo
