// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::stats {

/// The mean over units, with a bootstrap interval over them. For two figures of the same units,
/// that of their differences, unit by unit, is the paired one: the same seed draws the same units.
/// Undefined without values.
[[nodiscard]] Estimate mean(std::span<const double> values, const Bootstrap& bootstrap = {});

}  // namespace sp2dpo::stats
