// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

/// Checks, tables, charts and pages about schedules. Every chart is a self-contained SVG file
/// without scripts, external fonts or files. It follows light and dark mode and uses a palette that
/// is safe for colour-blind readers. Equal inputs give equal bytes.
namespace sp2dpo::report {

/// Options of the charts of beta.
struct HistogramOptions {
  std::string title = "Distribution of beta";
  Interval envelope = Linear::default_envelope;  ///< both ends are marked
  int bins = 27;                                 ///< number of bins over the envelope and all betas
  double width = 760;                            ///< in pixels; 360 suits a phone
};

/// Draws a histogram of beta with bars stacked by category, highest priority at the bottom. Pairs
/// without a gap form a group of their own. Throws InvalidArgument for an empty schedule and for
/// fewer than one bin.
[[nodiscard]] std::string beta_histogram_svg(const ScheduleView& schedule,
                                             const HistogramOptions& options = {});

/// Draws the cumulative distribution of beta, one curve for each category and one for all pairs.
/// Curves differ in colour and dashes. Ignores `bins`. Throws InvalidArgument for an empty
/// schedule.
[[nodiscard]] std::string beta_ecdf_svg(const ScheduleView& schedule,
                                        const HistogramOptions& options = {});

/// A histogram of one annotator's signed gaps.
struct AnnotatorGaps {
  static constexpr std::size_t bins = 20;  ///< number of bins over [-1, 1]

  std::string name;
  std::array<std::int64_t, bins> counts{};
  std::int64_t n = 0;
  double sum = 0;

  /// Counts one gap; clamps it to [-1, 1] for the histogram, but not for the sum.
  void add(double gap);
};

/// Draws a small histogram for each annotator, as many in a row as fit into `width`. Each has a
/// vertical scale of its own. Throws InvalidArgument if `annotators` is empty.
[[nodiscard]] std::string annotator_gaps_svg(std::span<const AnnotatorGaps> annotators,
                                             double width = 760);

/// A figure by training step, over repeated runs. A run that ended early has fewer values than
/// steps.
struct Curve {
  std::string name;
  std::vector<double> steps;              ///< increasing
  std::vector<std::vector<double>> runs;  ///< values of each run, from the first step on
};

/// Curves that share their axes.
struct CurveChart {
  std::string title;
  std::vector<Curve> curves;  ///< at most 7, one for each colour
};

/// Draws charts side by side. A line shows the mean of each curve over its runs; a band reaches
/// from the smallest to the largest value. Curve i has the same colour and dashes in every chart.
/// Throws InvalidArgument without charts or values, for a value that is not finite, and for a run
/// longer than its steps.
[[nodiscard]] std::string training_curves_svg(std::span<const CurveChart> charts,
                                              const std::string& title = "Training");

}  // namespace sp2dpo::report
