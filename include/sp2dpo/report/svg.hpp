// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

/// Pictures and figures for people. A picture is a whole SVG file: no scripts, no fonts or files
/// from elsewhere, light or dark as the reader's screen is, in colours that colour-blind readers
/// can tell apart. The same input makes the same bytes.
namespace sp2dpo::report {

struct HistogramOptions {
  std::string title = "Distribution of beta";
  Interval envelope = Linear::default_envelope;  ///< its ends are marked
  int bins = 27;                                 ///< over the envelope and all betas
  double width = 760;                            ///< of the picture; 360 for a telephone
};

/// How many pairs have which beta: one bar a bin, stacked by category, the category of highest
/// priority at the bottom. Pairs without a gap are a part of their own. Throws InvalidArgument for
/// a schedule without pairs and for fewer than one bin.
[[nodiscard]] std::string beta_histogram_svg(const ScheduleView& schedule,
                                             const HistogramOptions& options = {});

/// Which share of the pairs has a beta up to which value: one curve a category, one for all. Curves
/// are told apart by colour and dashes. `bins` says nothing here. Throws InvalidArgument for a
/// schedule without pairs.
[[nodiscard]] std::string beta_ecdf_svg(const ScheduleView& schedule,
                                        const HistogramOptions& options = {});

/// The signed gaps of one annotator's annotations.
struct AnnotatorGaps {
  static constexpr std::size_t bins = 20;  ///< over [-1, 1]

  std::string name;
  std::array<std::int64_t, bins> counts{};
  std::int64_t n = 0;
  double sum = 0;

  void add(double gap);
};

/// One small histogram an annotator, as many in a row as the width holds, each with a scale of its
/// own. Throws InvalidArgument without an annotator.
[[nodiscard]] std::string annotator_gaps_svg(std::span<const AnnotatorGaps> annotators,
                                             double width = 760);

/// One figure of several runs of one kind, by step. A run that ended early has fewer values than
/// there are steps.
struct Curve {
  std::string name;
  std::vector<double> steps;              ///< increasing
  std::vector<std::vector<double>> runs;  ///< a run's values, from the first step on
};

/// Curves over the same axes.
struct CurveChart {
  std::string title;
  std::vector<Curve> curves;  ///< up to as many as there are colours: 7
};

/// Panels side by side: each curve's mean over its runs as a line, their smallest and largest value
/// as a band around it. Curves are told apart by colour and dashes, in every panel in the same
/// order. Throws InvalidArgument where there is no panel, no value, or one that is not finite, and
/// for a run that is longer than its steps.
[[nodiscard]] std::string training_curves_svg(std::span<const CurveChart> panels,
                                              const std::string& title = "Training");

}  // namespace sp2dpo::report
