// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "statistics.hpp"
#include "svg_canvas.hpp"

#include <sp2dpo/report/svg.hpp>

namespace sp2dpo::report {
namespace {

constexpr double left = 56, right = 24, bottom = 52, bars_height = 230;

/// A group of pairs that shares a colour in the bars.
struct Part {
  std::string name;
  const char* colour;
  std::vector<std::size_t> counts{};  ///< [bins]
  std::size_t total = 0;
};

/// Returns the categories in their order, as many as the palette has colours, then the remaining
/// ones and the pairs without a gap.
std::vector<Part> parts_of(const ScheduleView& schedule, Interval range, std::size_t bins) {
  const auto names = schedule.categories().names();
  const std::size_t colours = series_colours.size() - 1;
  const std::size_t own = names.size() <= colours ? names.size() : colours - 1;
  std::vector<Part> parts;
  for (std::size_t i = 0; i < own; ++i) parts.push_back({names[i], series_colours[i]});
  parts.push_back({"other categories", series_colours[colours - 1]});
  parts.push_back({"no gap", series_colours[colours]});
  for (auto& part : parts) part.counts.resize(bins);

  schedule.for_each([&](const ScheduleEntry& entry) {
    const double place = (entry.beta - range.low) / (range.high - range.low);
    // The last bin includes its upper end.
    const auto bin =
        std::min(static_cast<std::size_t>(place * static_cast<double>(bins)), bins - 1);
    const std::size_t part =
        entry.gap ? std::min(static_cast<std::size_t>(entry.gap->category), own) : own + 1;
    ++parts[part].counts[bin];
    ++parts[part].total;
  });
  std::erase_if(parts, [](const Part& part) { return part.total == 0; });
  return parts;
}

}  // namespace

std::string beta_histogram_svg(const ScheduleView& schedule, const HistogramOptions& options) {
  const auto betas = betas_of(schedule);
  detail::require(options.bins >= 1, "expected at least one bin, got {}", options.bins);
  const auto bins = static_cast<std::size_t>(options.bins);
  const auto [smallest, largest] = std::ranges::minmax(betas);
  Interval range{std::min(smallest, options.envelope.low),
                 std::max(largest, options.envelope.high)};
  if (range.low == range.high) range = {0.5 * range.low, 1.5 * range.high};

  const auto parts = parts_of(schedule, range, bins);
  std::size_t highest = 0;
  for (std::size_t bin = 0; bin < bins; ++bin) {
    std::size_t sum = 0;
    for (const auto& part : parts) sum += part.counts[bin];
    highest = std::max(highest, sum);
  }

  const std::string summary = fmt::format("{} pairs, mean {:.3f}, standard deviation {:.3f}",
                                          betas.size(), mean(betas), standard_deviation(betas));
  const double width = options.width;
  std::vector<std::string> labels;
  for (const auto& part : parts) labels.push_back(fmt::format("{} {}", part.name, part.total));
  const auto places = legend_places(labels, 18, {16, 71}, width);
  const double top = std::max(118.0, places.back().y + 47);
  const double height = top + bars_height + bottom;
  SvgCanvas canvas(width, height, options.title,
                   fmt::format("Histogram of beta, stacked by category: {}.", summary));
  canvas.text({16, 47}, summary, "muted", Anchor::start);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Point at = places[i];
    canvas.rect({at.x, at.y - 10}, 12, 12, fmt::format(R"(rx="2" fill="{}")", parts[i].colour));
    canvas.text({at.x + 18, at.y}, labels[i], "label", Anchor::start);
  }

  const Scale x{range, left, width - right};
  const Scale y{{0, static_cast<double>(highest)}, height - bottom, top};
  for (const double count : ticks(0, static_cast<double>(highest), 5)) {
    if (count != std::floor(count)) continue;
    canvas.line({left, y(count)}, {width - right, y(count)}, count == 0 ? "axis" : "grid");
    canvas.text({left - 8, y(count) + 4}, fmt::format("{}", count), "muted", Anchor::end);
  }
  for (const double beta : ticks(range.low, range.high, static_cast<int>(width / 90))) {
    canvas.line({x(beta), height - bottom}, {x(beta), height - bottom + 5}, "axis");
    canvas.text({x(beta), height - bottom + 20}, fmt::format("{:.4g}", beta), "muted",
                Anchor::middle);
  }
  canvas.text({(left + width - right) / 2, height - 12}, "beta", "label", Anchor::middle);
  const double middle = (top + height - bottom) / 2;
  canvas.text({16, middle}, "pairs", "label", Anchor::middle,
              fmt::format("transform=\"rotate(-90 16 {:.2f})\"", middle));

  const double step = (width - right - left) / static_cast<double>(bins);
  for (std::size_t bin = 0; bin < bins; ++bin) {
    const double from = std::lerp(range.low, range.high, static_cast<double>(bin) / options.bins);
    const double to = std::lerp(range.low, range.high, static_cast<double>(bin + 1) / options.bins);
    double below = 0;
    for (const auto& part : parts) {
      if (part.counts[bin] == 0) continue;
      const auto count = static_cast<double>(part.counts[bin]);
      canvas.rect({left + step * static_cast<double>(bin) + 1, y(below + count)}, step - 2,
                  y(below) - y(below + count), fmt::format(R"(class="bar" fill="{}")", part.colour),
                  fmt::format("{}: {} pairs, beta {:.3f} to {:.3f}", part.name, count, from, to));
      below += count;
    }
  }

  for (const auto& [end, anchor] : {std::pair{options.envelope.low, Anchor::start},
                                    std::pair{options.envelope.high, Anchor::end}}) {
    canvas.line({x(end), top - 10}, {x(end), height - bottom}, "mark");
    canvas.text({x(end), top - 15}, fmt::format("envelope {}", end), "label", anchor);
  }
  return std::move(canvas).finish();
}

}  // namespace sp2dpo::report
