// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <utility>

#include "svg_canvas.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/report/svg.hpp>

namespace sp2dpo::report {
namespace {

constexpr double panel_height = 178, top = 46, side = 16, between = 24;
constexpr double narrowest = 200;

/// Truncates a name to the width, with an ellipsis.
std::string shortened(std::string name, double width) {
  if (text_width(name, SvgCanvas::font) <= width) return name;
  while (!name.empty() && text_width(name + "…", SvgCanvas::font) > width) {
    while ((static_cast<unsigned char>(name.back()) & 0xC0U) == 0x80U) name.pop_back();
    name.pop_back();
  }
  return name + "…";
}

void draw_panel(SvgCanvas& canvas, const AnnotatorGaps& annotator, Point corner, double width) {
  canvas.text({corner.x, corner.y + 14}, shortened(annotator.name, width), "label strong",
              Anchor::start);
  canvas.text(
      {corner.x, corner.y + 31},
      fmt::format("{} annotations, mean {:+.2f}", annotator.n,
                  annotator.sum / static_cast<double>(std::max<std::int64_t>(1, annotator.n))),
      "muted", Anchor::start);
  const Scale x{{-1, 1}, corner.x, corner.x + width};
  const double most =
      static_cast<double>(std::max<std::int64_t>(1, *std::ranges::max_element(annotator.counts)));
  const Scale y{{0, most}, corner.y + panel_height - 42, corner.y + 42};
  const double step = width / AnnotatorGaps::bins;
  for (std::size_t bin = 0; bin < AnnotatorGaps::bins; ++bin) {
    const auto count = static_cast<double>(annotator.counts[bin]);
    if (count == 0) continue;
    const double from = -1 + 2.0 * static_cast<double>(bin) / AnnotatorGaps::bins;
    canvas.rect({corner.x + step * static_cast<double>(bin) + 0.5, y(count)}, step - 1,
                y.from - y(count),
                fmt::format(R"(fill="{}")", from < 0 ? series_colours[0] : series_colours[4]),
                fmt::format("{} annotations with a gap from {:+.1f} to {:+.1f}", count, from,
                            from + 2.0 / AnnotatorGaps::bins));
  }
  canvas.line({x.from, y.from}, {x.to, y.from}, "axis");
  canvas.line({x(0), y.from}, {x(0), y.to - 4}, "mark");
  canvas.text({x.from, y.from + 16}, "−1", "muted", Anchor::start);
  canvas.text({x(0), y.from + 16}, "0", "muted", Anchor::middle);
  canvas.text({x.to, y.from + 16}, "+1", "muted", Anchor::end);
}

}  // namespace

void AnnotatorGaps::add(double gap) {
  const double place = (std::clamp(gap, -1.0, 1.0) + 1) / 2 * static_cast<double>(bins);
  ++counts[std::min(static_cast<std::size_t>(place), bins - 1)];
  ++n;
  sum += gap;
}

std::string annotator_gaps_svg(std::span<const AnnotatorGaps> annotators, double width) {
  detail::require(!annotators.empty(), "expected at least one annotator");
  const double inside = width - 2 * side;
  const auto columns = std::min<std::size_t>(
      std::max<std::size_t>(1,
                            static_cast<std::size_t>((inside + between) / (narrowest + between))),
      std::max<std::size_t>(annotators.size(), 2));
  const double panel =
      (inside - between * static_cast<double>(columns - 1)) / static_cast<double>(columns);
  const std::size_t rows = (annotators.size() + columns - 1) / columns;
  SvgCanvas canvas(width, top + panel_height * static_cast<double>(rows),
                   "Signed gaps by annotator",
                   "One histogram for each annotator: gaps below 0 prefer the rejected response.");
  for (std::size_t i = 0; i < annotators.size(); ++i)
    draw_panel(canvas, annotators[i],
               {side + (panel + between) * static_cast<double>(i % columns),
                top + panel_height * static_cast<double>(i / columns)},
               panel);
  return std::move(canvas).finish();
}

}  // namespace sp2dpo::report
