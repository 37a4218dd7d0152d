// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "svg_canvas.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/report/reliability.hpp>

namespace sp2dpo::report {
namespace {

constexpr double left = 60, right = 24, bottom = 56;
constexpr std::array<const char*, 3> colours{"#d55e00", "#0072b2", "#009e73"};
constexpr std::array<const char*, 3> dashes{"6 4", "none", "2 3"};

/// Returns the marker of a series: circle, square or diamond.
std::vector<Point> shape(std::size_t series, Point at, double radius) {
  constexpr double pi = 3.14159265358979323846;
  const int corners = series == 0 ? 20 : 4;
  const double turn = series == 1 ? pi / 4 : 0;
  const double reach = series == 0 ? radius : 1.25 * radius;
  std::vector<Point> points;
  for (int i = 0; i < corners; ++i) {
    const double angle = turn + 2 * pi * i / corners;
    points.push_back({at.x + reach * std::cos(angle), at.y + reach * std::sin(angle)});
  }
  return points;
}

}  // namespace

std::string reliability_svg(std::span<const ReliabilitySeries> series, const std::string& title,
                            double width) {
  detail::require(!series.empty() && series.size() <= colours.size(),
                  "expected 1 to {} series, got {}", colours.size(), series.size());
  std::vector<std::string> labels;
  for (const auto& one : series) labels.push_back(one.name);
  const auto places = legend_places(labels, 37, {16, 54}, width);
  const double top = places.back().y + 38;
  const double height = top + (width - left - right) + bottom;  // makes the diagram a square
  SvgCanvas canvas(width, height, title,
                   "Share of right verdicts against their stated confidence; the dashed "
                   "diagonal marks perfect calibration.");
  const Scale x{{0, 1}, left, width - right}, y{{0, 1}, height - bottom, top};
  for (const double value : ticks(0, 1, 5)) {
    canvas.line({x.from, y(value)}, {x.to, y(value)}, "grid");
    canvas.line({x(value), y.from}, {x(value), y.to}, "grid");
    canvas.text({x.from - 8, y(value) + 4}, fmt::format("{:.1f}", value), "muted", Anchor::end);
    canvas.text({x(value), y.from + 20}, fmt::format("{:.1f}", value), "muted", Anchor::middle);
  }
  canvas.line({x.from, y.from}, {x.to, y.from}, "axis");
  canvas.line({x.from, y.from}, {x.from, y.to}, "axis");
  canvas.line({x(0), y(0)}, {x(1), y(1)}, "mark");
  canvas.text({(x.from + x.to) / 2, height - 12}, "stated confidence", "label", Anchor::middle);
  canvas.text({left, top - 12}, "share of right verdicts", "label", Anchor::start);

  for (std::size_t i = 0; i < series.size(); ++i) {
    std::int64_t n = 0;
    for (const auto& bin : series[i].bins) {
      detail::require(bin.score >= 0 && bin.score <= 1 && bin.right >= 0 && bin.right <= 1,
                      "series \"{}\": bin ({}, {}) is outside the unit square", series[i].name,
                      bin.score, bin.right);
      n += bin.n;
    }
    const std::string fill = fmt::format("fill=\"{}\" fill-opacity=\"0.8\"", colours[i]);
    std::vector<Point> line;
    for (const auto& bin : series[i].bins) line.push_back({x(bin.score), y(bin.right)});
    canvas.path(line, false,
                fmt::format(R"(fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}")",
                            colours[i], dashes[i]));
    for (const auto& bin : series[i].bins) {
      const double share = static_cast<double>(bin.n) / static_cast<double>(n);
      canvas.path(shape(i, {x(bin.score), y(bin.right)}, 3 + 9 * std::sqrt(share)), true, fill);
    }
    const Point legend = places[i];
    const std::array<Point, 2> sample{Point{legend.x, legend.y - 4},
                                      Point{legend.x + 30, legend.y - 4}};
    canvas.path(sample, false,
                fmt::format(R"(fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}")",
                            colours[i], dashes[i]));
    canvas.path(shape(i, {legend.x + 15, legend.y - 4}, 5), true, fill);
    canvas.text({legend.x + 37, legend.y}, labels[i], "label", Anchor::start);
  }
  return std::move(canvas).finish();
}

}  // namespace sp2dpo::report
