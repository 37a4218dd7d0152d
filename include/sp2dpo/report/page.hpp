// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/report/checks.hpp>
#include <sp2dpo/report/reliability.hpp>
#include <sp2dpo/report/svg.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>
#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::report {

/// An input file of a schedule.
struct Source {
  std::string role;
  std::string path;
  std::string sha256;
  std::int64_t rows{};
};

/// A figure of agreement. Consecutive figures with the same heading share it.
struct AgreementFigure {
  std::string heading;
  std::string name;
  stats::Estimate estimate;
};

/// The parts of a report beside the schedule itself. Empty parts are left out.
struct Page {
  std::string title = "Beta schedule";
  Interval envelope = Linear::default_envelope;
  std::vector<std::pair<std::string, std::string>> facts{};  ///< name and value
  std::vector<Finding> checks{};
  std::vector<AnnotatorGaps> annotators{};
  std::vector<AgreementFigure> agreement{};
  std::vector<ReliabilitySeries> reliability{};
  std::vector<Source> sources{};
  std::vector<std::pair<std::string, std::string>> parameters{};  ///< name, and value as JSON
};

/// Renders a schedule as one self-contained HTML page without scripts. The page adapts to light and
/// dark mode, to narrow screens and to paper. Throws InvalidArgument for an empty schedule.
[[nodiscard]] std::string html_page(const ScheduleView& schedule, const Page& page);

}  // namespace sp2dpo::report
