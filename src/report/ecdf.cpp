// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "statistics.hpp"
#include "svg_canvas.hpp"

#include <sp2dpo/report/svg.hpp>

namespace sp2dpo::report {
namespace {

constexpr double left = 56, right = 24, bottom = 52, curves_height = 230;
constexpr std::array<const char*, 4> dashes{"none", "7 4", "2 3", "9 3 2 3"};

struct CategoryCurve {
  std::string name;
  std::string pen;
  std::vector<double> betas{};
};

std::vector<CategoryCurve> curves_of(const ScheduleView& schedule) {
  const auto names = schedule.categories().names();
  const std::size_t colours = series_colours.size() - 1;
  const std::size_t own = names.size() <= colours ? names.size() : colours - 1;
  std::vector<CategoryCurve> curves;
  for (std::size_t i = 0; i <= own; ++i)
    curves.push_back({i < own ? names[i] : "other categories",
                      fmt::format(R"(fill="none" stroke="{}" stroke-width="2" )"
                                  R"(stroke-dasharray="{}")",
                                  series_colours[std::min(i, colours - 1)], dashes[i % 4])});
  schedule.for_each([&](const ScheduleEntry& entry) {
    if (entry.gap)
      curves[std::min(static_cast<std::size_t>(entry.gap->category), own)].betas.push_back(
          entry.beta);
  });
  std::erase_if(curves, [](const CategoryCurve& curve) { return curve.betas.empty(); });
  curves.push_back({"all", R"(fill="none" class="all")", betas_of(schedule)});
  for (auto& curve : curves) std::ranges::sort(curve.betas);
  return curves;
}

/// Returns the steps of the distribution, reduced to at most 200 points.
std::vector<Point> steps(const std::vector<double>& betas, const Scale& x, const Scale& y) {
  constexpr std::size_t max_points = 200;
  const std::size_t n = betas.size();
  const std::size_t points = std::min(n, max_points);
  std::vector<Point> path{{x.from, y(0)}};
  for (std::size_t i = 0; i < points; ++i) {
    const std::size_t last = (i + 1) * n / points;  // number of betas up to this one
    const double at = x(betas[last - 1]);
    path.push_back({at, path.back().y});
    path.push_back({at, y(static_cast<double>(last) / static_cast<double>(n))});
  }
  path.push_back({x.to, y(1)});
  return path;
}

}  // namespace

std::string beta_ecdf_svg(const ScheduleView& schedule, const HistogramOptions& options) {
  const auto curves = curves_of(schedule);
  const auto& all = curves.back().betas;
  Interval range{std::min(all.front(), options.envelope.low),
                 std::max(all.back(), options.envelope.high)};
  if (range.low == range.high) range = {0.5 * range.low, 1.5 * range.high};

  std::vector<std::string> labels;
  for (const auto& curve : curves) labels.push_back(curve.name);
  const auto places = legend_places(labels, 34, {16, 52}, options.width);
  const double top = places.back().y + 36;
  const double height = top + curves_height + bottom;
  SvgCanvas canvas(
      options.width, height, "Cumulative distribution of beta",
      "Share of the pairs with at most this beta, for each category and for all pairs.");
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const std::array<Point, 2> sample{Point{places[i].x, places[i].y - 4},
                                      Point{places[i].x + 28, places[i].y - 4}};
    canvas.path(sample, false, curves[i].pen);
    canvas.text({places[i].x + 34, places[i].y}, labels[i], "label", Anchor::start);
  }

  const Scale x{range, left, options.width - right};
  const Scale y{{0, 1}, height - bottom, top};
  for (const double share : ticks(0, 1, 5)) {
    canvas.line({x.from, y(share)}, {x.to, y(share)}, share == 0 ? "axis" : "grid");
    canvas.text({x.from - 8, y(share) + 4}, fmt::format("{:.0f} %", 100 * share), "muted",
                Anchor::end);
  }
  for (const double beta : ticks(range.low, range.high, static_cast<int>(options.width / 90))) {
    canvas.line({x(beta), y.from}, {x(beta), y.from + 5}, "axis");
    canvas.text({x(beta), y.from + 20}, fmt::format("{:.4g}", beta), "muted", Anchor::middle);
  }
  canvas.text({(x.from + x.to) / 2, height - 12}, "beta", "label", Anchor::middle);
  for (const auto& curve : curves) canvas.path(steps(curve.betas, x, y), false, curve.pen);
  return std::move(canvas).finish();
}

}  // namespace sp2dpo::report
