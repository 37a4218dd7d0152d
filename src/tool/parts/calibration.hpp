// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parts/aggregators.hpp"
#include <args.hpp>

#include <sp2dpo/report/reliability.hpp>

namespace sp2dpo::tool {

/// Which answer people hold to be the better one, of some pairs.
struct Gold {
  struct Verdict {
    std::string pair_id;
    double preferred;  ///< 1 chosen, −1 rejected, 0 tie
  };
  std::vector<Verdict> verdicts;  ///< in the file's order
  io::InputFile file;
};

/// A CSV file with the columns pair_id, preferred. Throws DataError for a pair that is not among
/// `pair_ids` or comes twice, for a verdict that is none, and where there is none at all.
[[nodiscard]] Gold read_gold(const std::string& file, const PairIds& pair_ids);

/// Reads annotations into the builder, with its checks; a lenient reader skips what is bad.
void add_annotations(ScheduleBuilder& builder, std::span<const std::string> files,
                     const Categories& categories, bool lenient);

/// Gaps no larger than this are ties: thirds that should add up to 0 do not quite.
inline constexpr double tie_below = 1e-12;

/// Options of what looks at all annotations before a schedule is made of them.
struct FitOptions {
  std::string gold;
  std::string calibration = "isotonic";
  std::string picture;

  void declare(args::Command app);
};

/// The aggregator made of the annotations and, where there is gold, calibrated: a gap then is
/// sign · (2p − 1), where p is how often verdicts of that strength are right.
[[nodiscard]] MadeAggregator make_aggregator(const ChosenAggregator& chosen,
                                             const FitOptions& options,
                                             const std::optional<Gold>& gold,
                                             const ScheduleBuilder& annotations);

/// The reliability before and after calibration; empty unless the aggregator was calibrated.
[[nodiscard]] std::vector<report::ReliabilitySeries> reliability_of(
    const io::PartDescription& aggregator);

}  // namespace sp2dpo::tool
