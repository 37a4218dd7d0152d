// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "svg_canvas.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/report/svg.hpp>

namespace sp2dpo::report {
namespace {

constexpr double chart_width = 440, height = 380;
constexpr double left = 56, right = 20, top = 106, bottom = 52;
// Neighbours differ in hue and in lightness.
constexpr std::array<std::size_t, 7> colour_order{4, 0, 2, 1, 5, 3, 6};
constexpr std::array<const char*, 4> dashes{"none", "7 4", "2 3", "9 3 2 3"};

std::string pen(std::size_t curve) {
  return fmt::format(
      R"(fill="none" stroke="{}" stroke-width="2.2" stroke-linejoin="round" stroke-dasharray="{}")",
      series_colours[colour_order[curve]], dashes[curve % dashes.size()]);
}

/// A curve at one step, over the runs that reached it.
struct Summary {
  double step;
  double low;
  double mean;
  double high;
};

std::vector<Summary> summarised(const Curve& curve) {
  std::vector<Summary> result;
  for (std::size_t i = 0; i < curve.steps.size(); ++i) {
    Summary at{curve.steps[i], std::numeric_limits<double>::infinity(), 0,
               -std::numeric_limits<double>::infinity()};
    double n = 0;
    for (const auto& run : curve.runs) {
      if (i >= run.size()) continue;
      at.low = std::min(at.low, run[i]);
      at.high = std::max(at.high, run[i]);
      at.mean += run[i];
      ++n;
    }
    at.mean /= n;
    if (n > 0) result.push_back(at);
  }
  return result;
}

void check(std::span<const CurveChart> charts) {
  detail::require(!charts.empty(), "expected at least one chart");
  for (const auto& chart : charts) {
    detail::require(chart.curves.size() <= colour_order.size(),
                    "chart \"{}\" has {} curves; the palette has {} colours", chart.title,
                    chart.curves.size(), colour_order.size());
    bool any = false;
    for (const auto& curve : chart.curves) {
      for (const auto& run : curve.runs) {
        detail::require(run.size() <= curve.steps.size(),
                        "curve \"{}\": a run has {} values for {} steps", curve.name, run.size(),
                        curve.steps.size());
        any = any || !run.empty();
        for (const double value : run)
          detail::require(std::isfinite(value), "curve \"{}\" has the value {}", curve.name, value);
      }
    }
    detail::require(any, "chart \"{}\" has no values", chart.title);
  }
}

void draw_chart(SvgCanvas& canvas, const CurveChart& chart, double offset) {
  std::vector<std::vector<Summary>> curves;
  Interval steps{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  Interval values = steps;
  for (const auto& curve : chart.curves) {
    curves.push_back(summarised(curve));
    for (const auto& at : curves.back()) {
      steps = {std::min(steps.low, at.step), std::max(steps.high, at.step)};
      values = {std::min(values.low, at.low), std::max(values.high, at.high)};
    }
  }
  if (steps.low == steps.high) steps.high += 1;
  const double size = std::max(values.high - values.low, 1e-9 + 1e-3 * std::abs(values.high));
  values = {values.low - 0.05 * size, values.high + 0.05 * size};

  const Scale x{steps, offset + left, offset + chart_width - right};
  const Scale y{values, height - bottom, top};
  canvas.text({offset + left, top - 14}, chart.title, "label", Anchor::start);
  for (const double value : ticks(values.low, values.high, 5)) {
    canvas.line({x.from, y(value)}, {x.to, y(value)}, "grid");
    canvas.text({x.from - 8, y(value) + 4}, fmt::format("{:.4g}", value), "muted", Anchor::end);
  }
  canvas.line({x.from, y.from}, {x.to, y.from}, "axis");
  for (const double step : ticks(steps.low, steps.high, 6)) {
    if (step != std::floor(step)) continue;
    canvas.line({x(step), y.from}, {x(step), y.from + 5}, "axis");
    canvas.text({x(step), y.from + 20}, fmt::format("{}", step), "muted", Anchor::middle);
  }
  canvas.text({(x.from + x.to) / 2, height - 12}, "step", "label", Anchor::middle);

  for (std::size_t i = 0; i < curves.size(); ++i) {
    std::vector<Point> band;
    for (const auto& at : curves[i]) band.push_back({x(at.step), y(at.high)});
    for (auto at = curves[i].rbegin(); at != curves[i].rend(); ++at)
      band.push_back({x(at->step), y(at->low)});
    canvas.path(band, true,
                fmt::format(R"(class="band" fill="{}" fill-opacity="0.14")",
                            series_colours[colour_order[i]]));
  }
  for (std::size_t i = 0; i < curves.size(); ++i) {
    std::vector<Point> points;
    for (const auto& at : curves[i]) points.push_back({x(at.step), y(at.mean)});
    canvas.path(points, false, "class=\"curve\" " + pen(i));
  }
}

}  // namespace

std::string training_curves_svg(std::span<const CurveChart> charts, const std::string& title) {
  check(charts);
  const double width = chart_width * static_cast<double>(charts.size());
  SvgCanvas canvas(width, height, title,
                   "Curves by training step. Lines show means over the runs; bands reach from the "
                   "smallest to the largest value.");
  const auto& widest = *std::ranges::max_element(
      charts, {}, [](const CurveChart& chart) { return chart.curves.size(); });
  Point at{16, 52};
  for (std::size_t i = 0; i < widest.curves.size(); ++i) {
    const auto& name = widest.curves[i].name;
    const std::array<Point, 2> sample{Point{at.x, at.y - 4}, Point{at.x + 30, at.y - 4}};
    const double needed = 37 + text_width(name, SvgCanvas::font) + 16;
    canvas.path(sample, false, pen(i));
    canvas.text({at.x + 37, at.y}, name, "label", Anchor::start);
    at.x += needed;
  }
  canvas.text({at.x, at.y}, "line: mean of runs, band: range of runs", "muted", Anchor::start);

  for (std::size_t i = 0; i < charts.size(); ++i)
    draw_chart(canvas, charts[i], chart_width * static_cast<double>(i));
  return std::move(canvas).finish();
}

}  // namespace sp2dpo::report
