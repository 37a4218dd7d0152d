// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo {

/// Maps a gap to the beta of its pair: finite, positive, the same for the same gap. A lambda is a
/// BetaMapper.
template <class M>
concept BetaMapper = requires(const M& to_beta, const SemanticGap& gap) {
  { to_beta(gap) } -> std::same_as<double>;
};

/// At which end of its range, if any, a mapper cut a gap off.
enum class Clip : std::uint8_t { none, low, high };

/// A BetaMapper that can say which gaps it clips, so that a schedule can count them.
template <class M>
concept ClippingMapper = BetaMapper<M> && requires(const M& to_beta, const SemanticGap& gap) {
  { to_beta.clip(gap) } -> std::same_as<Clip>;
};

}  // namespace sp2dpo
