// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo::report {

/// Okabe and Ito's palette for colour-blind readers, without black and yellow, so that every colour
/// shows on light and dark; then grey for data outside the series.
inline constexpr std::array<const char*, 7> series_colours{
    "#d55e00", "#e69f00", "#009e73", "#56b4e9", "#0072b2", "#cc79a7", "#8a8f98"};

/// Escapes text for an XML attribute or element.
[[nodiscard]] std::string escaped(std::string_view text);

/// Estimates the width of a line of text at a font size. The estimate is generous, since the
/// reader's font is unknown.
[[nodiscard]] double text_width(std::string_view text, double size);

/// Returns about `count` round numbers from low to high.
[[nodiscard]] std::vector<double> ticks(double low, double high, int count);

struct Point {
  double x;
  double y;
};

/// Returns where the entries of a legend begin. Entries start at `first` and wrap at `width`; each
/// has `sample` units of space before its label.
[[nodiscard]] std::vector<Point> legend_places(std::span<const std::string> labels, double sample,
                                               Point first, double width);

/// A linear scale from data to canvas units.
struct Scale {
  Interval data;
  double from;
  double to;

  [[nodiscard]] double operator()(double value) const {
    return from + (value - data.low) / (data.high - data.low) * (to - from);
  }
};

enum class Anchor { start, middle, end };

/// Collects the elements of an SVG. Colours are CSS classes, so that the style sheet can follow
/// light and dark mode.
class SvgCanvas {
 public:
  static constexpr double font = 12;

  SvgCanvas(double width, double height, std::string_view title, std::string_view description);

  void text(Point at, std::string_view text, std::string_view css_class, Anchor anchor,
            std::string_view attributes = {});
  void line(Point from, Point to, std::string_view css_class);
  /// Adds a rectangle; `tip` is its tooltip.
  void rect(Point corner, double width, double height, std::string_view attributes,
            std::string_view tip = {});
  void path(std::span<const Point> points, bool closed, std::string_view attributes);

  [[nodiscard]] std::string finish() &&;

 private:
  std::string svg_;
};

}  // namespace sp2dpo::report
