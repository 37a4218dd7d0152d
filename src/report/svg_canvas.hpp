// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/schedule/linear.hpp>

namespace sp2dpo::report {

/// Okabe and Ito's colours, which colour-blind readers can tell apart, without black and yellow, so
/// that all show on light and dark; grey for what is beside the series.
inline constexpr std::array<const char*, 7> series_colours{
    "#d55e00", "#e69f00", "#009e73", "#56b4e9", "#0072b2", "#cc79a7", "#8a8f98"};

/// Text for an attribute or element, safe in XML.
[[nodiscard]] std::string escaped(std::string_view text);

/// The width of a line of text at the font size given, on the generous side: which font a reader
/// has is not known here.
[[nodiscard]] double text_width(std::string_view text, double size);

/// Round numbers from low to high, about `count` of them.
[[nodiscard]] std::vector<double> ticks(double low, double high, int count);

struct Point {
  double x;
  double y;
};

/// Where a legend's entries begin, in as many rows from `first` on as a picture of that width
/// needs; each label has `sample` units before it.
[[nodiscard]] std::vector<Point> legend_places(std::span<const std::string> labels, double sample,
                                               Point first, double width);

/// A linear scale from data to the picture's units.
struct Scale {
  Interval data;
  double from;
  double to;

  [[nodiscard]] double operator()(double value) const {
    return from + (value - data.low) / (data.high - data.low) * (to - from);
  }
};

enum class Anchor { start, middle, end };

/// Collects an SVG's elements. Colours are classes, so that the style sheet can follow the reader's
/// light or dark screen.
class SvgCanvas {
 public:
  static constexpr double font = 12;

  SvgCanvas(double width, double height, std::string_view title, std::string_view description);

  void text(Point at, std::string_view text, std::string_view css_class, Anchor anchor,
            std::string_view attributes = {});
  void line(Point from, Point to, std::string_view css_class);
  /// `tip` is shown where the pointer rests on the element.
  void rect(Point corner, double width, double height, std::string_view attributes,
            std::string_view tip = {});
  void path(std::span<const Point> points, bool closed, std::string_view attributes);

  [[nodiscard]] std::string finish() &&;

 private:
  std::string svg_;
};

}  // namespace sp2dpo::report
