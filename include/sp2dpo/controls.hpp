// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sp2dpo/linear.hpp>
#include <sp2dpo/schedule.hpp>

/// Schedules made of a schedule: other betas for the same gaps, and the controls that say whether
/// it is the gaps that matter. Pairs without a gap keep the beta stated for them, except where it
/// says otherwise. None depends on the order of the pairs.
namespace sp2dpo {

/// The gaps of the pairs that have one, in the schedule's order.
[[nodiscard]] inline std::vector<double> gap_values(const Schedule& schedule) {
  std::vector<double> gaps;
  for (const auto& entry : schedule.entries())
    if (entry.gap) gaps.push_back(entry.gap->value);
  return gaps;
}

namespace detail {

/// `to_beta(entry)` in place of the beta of each entry that has a gap; no longer clipped.
template <class ToBeta>
Schedule with_betas(const Schedule& schedule, const ToBeta& to_beta) {
  std::vector<ScheduleEntry> entries(schedule.entries().begin(), schedule.entries().end());
  for (auto& entry : entries) {
    if (!entry.gap) continue;
    entry.clipped = Clip::none;
    entry.beta = to_beta(entry);
  }
  return Schedule(std::move(entries), schedule.categories());
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
template <BetaMapper M>
[[nodiscard]] Schedule remap(const Schedule& schedule, const M& to_beta) {
  return detail::with_betas(schedule, [&](ScheduleEntry& entry) {
    if constexpr (ClippingMapper<M>) entry.clipped = to_beta.clip(*entry.gap);
    return to_beta(*entry.gap);
  });
}

/// envelope.low + envelope.high − beta: the largest beta for the smallest gap. The schedule's betas
/// must lie within the envelope, or what comes out may be no beta.
[[nodiscard]] inline Schedule inverted(const Schedule& schedule,
                                       Interval envelope = Linear::default_envelope) {
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    return envelope.low + (envelope.high - entry.beta);
  });
}

/// The same betas, dealt to other pairs: their distribution stays, what they mean does not. The
/// seed and the pairs' ids decide who gets which.
[[nodiscard]] inline Schedule shuffled(const Schedule& schedule, std::uint64_t seed) {
  std::vector<const ScheduleEntry*> from;
  for (const auto& entry : schedule.entries())
    if (entry.gap) from.push_back(&entry);
  std::ranges::sort(from, {},
                    [](const ScheduleEntry* entry) { return std::string_view(entry->id); });
  std::vector<std::pair<std::uint64_t, std::string_view>> to;
  for (const auto* entry : from) to.emplace_back(detail::bits_of(seed, entry->id), entry->id);
  std::ranges::sort(to);
  std::unordered_map<std::string_view, double> betas;
  for (std::size_t i = 0; i < to.size(); ++i) betas.emplace(to[i].second, from[i]->beta);
  return detail::with_betas(schedule,
                            [&](const ScheduleEntry& entry) { return betas.at(entry.id); });
}

/// Betas drawn evenly from the envelope: the seed and the pair's id decide, so that a pair's beta
/// is the same whichever pairs are beside it.
[[nodiscard]] inline Schedule randomized(const Schedule& schedule, std::uint64_t seed,
                                         Interval envelope = Linear::default_envelope) {
  const Linear of_share(envelope, {0, 1});
  return detail::with_betas(schedule, [&](const ScheduleEntry& entry) {
    return of_share(
        {.value = std::ldexp(static_cast<double>(detail::bits_of(seed, entry.id) >> 11), -53)});
  });
}

/// Mean of all betas, those of pairs without a gap included; throws InvalidArgument where there are
/// none. Added up by size, so that the order of the pairs does not matter.
[[nodiscard]] inline double mean_beta(const Schedule& schedule) {
  detail::require(schedule.size() > 0, "the mean beta of no pairs");
  std::vector<double> betas;
  for (const auto& entry : schedule.entries()) betas.push_back(entry.beta);
  std::ranges::sort(betas);
  double sum = 0;
  for (const double beta : betas) sum += beta;
  return sum / static_cast<double>(betas.size());
}

/// Weights instead of betas: every pair, with a gap or without, gets β̄ = mean_beta(), and the
/// weight beta / β̄, whose mean is 1. At the start of training the gradients are those of the
/// schedule; what sets a beta apart from a weight shows later (docs/math.md).
[[nodiscard]] inline Schedule weighted(const Schedule& schedule) {
  const double mean = mean_beta(schedule);
  std::vector<ScheduleEntry> entries(schedule.entries().begin(), schedule.entries().end());
  for (auto& entry : entries) {
    entry.weight = entry.beta / mean;
    entry.beta = mean;
  }
  return Schedule(std::move(entries), schedule.categories());
}

}  // namespace sp2dpo
