// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/schedule.hpp>

/// Controls: functions from a schedule to one with other betas, which test whether the gaps matter.
/// S is Schedule or SpooledSchedule. Pairs without a gap keep their beta unless stated otherwise.
/// The results do not depend on the order of the pairs.
namespace sp2dpo {

namespace detail {

/// Sets beta to `to_beta(entry)` in each entry that has a gap, and marks it as not clipped.
template <class S, class ToBeta>
S with_betas(const S& schedule, const ToBeta& to_beta) {
  return schedule.changed([&](ScheduleEntry& entry) {
    if (!entry.gap) return;
    entry.clipped = Clip::none;
    entry.beta = to_beta(entry);
  });
}

/// Hashes a seed and an id to 64 pseudo-random bits: SplitMix64's output function over the id's
/// bytes.
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

/// Mirrors the betas in the envelope: envelope.low + envelope.high − beta, so that the smallest gap
/// gets the largest beta. Throws InvalidArgument for a beta so far above the envelope that its
/// mirror image is not positive.
template <class S>
[[nodiscard]] S inverted(const S& schedule, Interval envelope = Linear::default_envelope) {
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    return envelope.low + (envelope.high - entry.beta);
  });
}

/// Permutes the betas among the pairs: their distribution stays, their tie to the gaps breaks. The
/// seed and the pairs' ids determine the permutation.
template <class S>
[[nodiscard]] S shuffled(const S& schedule, std::uint64_t seed) {
  // 128 bits: two ids collide with probability 3e-39.
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  const auto key_of = [seed](std::string_view id) {
    return Key{detail::bits_of(seed, id), detail::bits_of(~seed, id)};
  };
  std::vector<std::pair<std::uint64_t, double>> betas;  // ordered by other bits than the keys
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

/// Draws the betas uniformly from the envelope. A pair's beta depends on the seed and its id only,
/// not on the other pairs.
template <class S>
[[nodiscard]] S randomized(const S& schedule, std::uint64_t seed,
                           Interval envelope = Linear::default_envelope) {
  const Linear of_share(envelope, {0, 1});
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    return of_share(
        {.value = std::ldexp(static_cast<double>(detail::bits_of(seed, entry.id) >> 11), -53)});
  });
}

/// Returns the mean of all betas, including those of pairs without a gap, summed in order of size
/// so that the order of the pairs does not matter. Throws InvalidArgument for a schedule without
/// pairs.
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

/// Gives every pair that has a gap the mean of all betas: plain DPO at the schedule's mean.
template <class S>
[[nodiscard]] S averaged(const S& schedule) {
  const double mean = mean_beta(schedule);
  return detail::with_betas(schedule, [mean](const ScheduleEntry&) { return mean; });
}

/// Replaces betas by weights: every pair, with a gap or without, gets β̄ = mean_beta() and the
/// weight beta / β̄, whose mean is 1. At the start of training the gradients equal those of the
/// schedule; the difference between a beta and a weight shows later (docs/math.md).
template <class S>
[[nodiscard]] S weighted(const S& schedule) {
  const double mean = mean_beta(schedule);
  return schedule.changed([mean](ScheduleEntry& entry) {
    entry.weight = entry.beta / mean;
    entry.beta = mean;
  });
}

}  // namespace sp2dpo
