// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/report/reliability.hpp>
#include <sp2dpo/schedule/linear.hpp>

namespace sp2dpo::tool {

/// The envelope of a manifest's mapper, around all that the mappers inside it name; the default one
/// where it names none.
[[nodiscard]] Interval envelope_of(const io::ScheduleManifest& manifest);

/// The reliability before and after calibration, where the manifest's aggregator was calibrated.
[[nodiscard]] std::vector<report::ReliabilitySeries> reliability_of(
    const io::ScheduleManifest& manifest);

}  // namespace sp2dpo::tool
