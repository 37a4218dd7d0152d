// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::report {

/// Formats the distribution of beta as a text table: quartiles, extremes and mean gap by category,
/// then the numbers of pairs at the ends of the envelope, with a clipped gap, and without a gap.
/// Throws InvalidArgument for an empty schedule.
[[nodiscard]] std::string beta_table(const ScheduleView& schedule,
                                     Interval envelope = Linear::default_envelope);

/// Formats a histogram of beta as text: a bar of # for each of `bins` equal parts of the envelope,
/// and the number of betas outside it.
[[nodiscard]] std::string beta_bars(const ScheduleView& schedule,
                                    Interval envelope = Linear::default_envelope, int bins = 9);

}  // namespace sp2dpo::report
