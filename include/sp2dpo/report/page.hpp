// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/report/checks.hpp>
#include <sp2dpo/report/reliability.hpp>
#include <sp2dpo/report/svg.hpp>
#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>
#include <sp2dpo/stats/estimate.hpp>

namespace sp2dpo::report {

/// A file that a schedule was made of.
struct Source {
  std::string role;
  std::string path;
  std::string sha256;
  std::int64_t rows{};
};

/// A figure of agreement, under a heading that figures in a row may share.
struct AgreementFigure {
  std::string heading;
  std::string name;
  stats::Estimate estimate;
};

/// What a report says besides the schedule. Parts that are empty are left out.
struct Page {
  std::string title = "Beta schedule";
  Interval envelope = Linear::default_envelope;
  std::vector<std::pair<std::string, std::string>> facts{};  ///< name and value
  std::vector<Finding> checks{};
  std::vector<AnnotatorGaps> annotators{};
  std::vector<AgreementFigure> agreement{};
  std::vector<ReliabilitySeries> reliability{};
  std::vector<Source> sources{};
  std::vector<std::pair<std::string, std::string>> parameters{};  ///< name and value, as JSON
};

/// The schedule as one HTML page: nothing is loaded from elsewhere, no script is needed, it can be
/// printed, and it follows the reader's light or dark screen and its width. Throws InvalidArgument
/// for a schedule without pairs.
[[nodiscard]] std::string html_page(const ScheduleView& schedule, const Page& page);

}  // namespace sp2dpo::report
