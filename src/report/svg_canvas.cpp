// SPDX-License-Identifier: Apache-2.0
#include "svg_canvas.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace sp2dpo::report {
namespace {

constexpr std::string_view style = R"(<style>
text { font: 12px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.muted { fill: #59636e; }
.strong { font-weight: 600; }
.surface { fill: #ffffff; }
.grid { stroke: #d8dee4; }
.axis { stroke: #818b98; }
.mark { stroke: #1f2328; stroke-dasharray: 4 3; }
.bar { stroke: #ffffff; }
.all { stroke: #1f2328; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.muted { fill: #9198a1; }
.surface { fill: #0d1117; }
.grid { stroke: #2f353d; }
.axis { stroke: #656c76; }
.mark { stroke: #f0f6fc; }
.bar { stroke: #0d1117; }
.all { stroke: #f0f6fc; }
}
</style>
)";

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += ' ';  // XML forbids most control characters, even escaped
    } else {
      result += c;
    }
  }
  return result;
}

double text_width(std::string_view text, double size) {
  const auto characters = std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; });
  return 0.58 * size * static_cast<double>(characters);
}

std::vector<Point> legend_places(std::span<const std::string> labels, double sample, Point first,
                                 double width) {
  std::vector<Point> places;
  Point at = first;
  for (const auto& label : labels) {
    const double needed = sample + text_width(label, SvgCanvas::font) + 14;
    if (at.x + needed > width && at.x > first.x) at = {first.x, at.y + 19};
    places.push_back(at);
    at.x += needed;
  }
  return places;
}

std::vector<double> ticks(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.5, 2.0, 1.0})
    if (factor * power >= rough * 0.999) step = factor * power;
  std::vector<double> result;
  for (double i = std::ceil(low / step - 1e-6); i * step <= high + 1e-6 * step; ++i)
    result.push_back(i * step + 0.0);  // turns −0 into 0
  return result;
}

SvgCanvas::SvgCanvas(double width, double height, std::string_view title,
                     std::string_view description) {
  svg_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 "
      "0 "
      "{0:.0f} {1:.0f}\" role=\"img\">\n<title>{2}</title>\n<desc>{3}</desc>\n",
      width, height, escaped(title), escaped(description));
  svg_ += style;
  rect({0, 0}, width, height, R"(class="surface")");
  text({16, 27}, title, "title", Anchor::start);
}

void SvgCanvas::text(Point at, std::string_view text, std::string_view css_class, Anchor anchor,
                     std::string_view attributes) {
  constexpr const char* anchors[] = {"start", "middle", "end"};
  svg_ += fmt::format(
      "<text x=\"{:.2f}\" y=\"{:.2f}\" class=\"{}\" text-anchor=\"{}\" {}>{}</text>\n", at.x, at.y,
      css_class, anchors[static_cast<std::size_t>(anchor)], attributes, escaped(text));
}

void SvgCanvas::line(Point from, Point to, std::string_view css_class) {
  svg_ +=
      fmt::format("<line x1=\"{:.2f}\" y1=\"{:.2f}\" x2=\"{:.2f}\" y2=\"{:.2f}\" class=\"{}\"/>\n",
                  from.x, from.y, to.x, to.y, css_class);
}

void SvgCanvas::rect(Point corner, double width, double height, std::string_view attributes,
                     std::string_view tip) {
  svg_ += fmt::format("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" {}",
                      corner.x, corner.y, width, height, attributes);
  svg_ += tip.empty() ? "/>\n" : fmt::format("><title>{}</title></rect>\n", escaped(tip));
}

void SvgCanvas::path(std::span<const Point> points, bool closed, std::string_view attributes) {
  svg_ += "<path d=\"";
  char command = 'M';
  for (const auto& point : points) {
    svg_ += fmt::format("{}{:.2f} {:.2f}", command, point.x, point.y);
    command = 'L';
  }
  svg_ += fmt::format("{}\" {}/>\n", closed ? "Z" : "", attributes);
}

std::string SvgCanvas::finish() && {
  svg_ += "</svg>\n";
  return std::move(svg_);
}

}  // namespace sp2dpo::report
