// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::report {

/// The distribution of beta as lines of text: quartiles, extremes and mean gap by category, then
/// how many pairs lie at the ends of the envelope, were clipped there, or have no gap. Throws
/// InvalidArgument for a schedule without pairs.
[[nodiscard]] std::string beta_table(const ScheduleView& schedule,
                                     Interval envelope = Linear::default_envelope);

/// How many pairs have which beta, as lines of text: a bar of # for each of `bins` equal parts of
/// the envelope, and how many lie outside it.
[[nodiscard]] std::string beta_bars(const ScheduleView& schedule,
                                    Interval envelope = Linear::default_envelope, int bins = 9);

}  // namespace sp2dpo::report
