// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "beta_rows.hpp"
#include "svg_canvas.hpp"
#include <fmt/format.h>

#include <sp2dpo/report/page.hpp>

namespace sp2dpo::report {
namespace {

constexpr double narrow_width = 360;  // of a chart on a phone

constexpr std::string_view style = R"(<style>
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d8dee4;
  --paper: #ffffff; --good: #00664b; --bad: #a33c00; }
@media (prefers-color-scheme: dark) {
:root { --ink: #f0f6fc; --soft: #9198a1; --line: #2f353d; --paper: #0d1117; --good: #3fd4a5;
  --bad: #ff9a5c; }
}
body { margin: 0 auto; max-width: 780px; padding: 16px; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 16px; }
h2 { font-size: 19px; margin: 36px 0 8px; border-bottom: 1px solid var(--line); }
p { margin: 8px 0; }
figure { margin: 16px 0; break-inside: avoid; }
figure svg { display: block; max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
tr { break-inside: avoid; }
td.number, th.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
td.name { white-space: nowrap; }
.soft { color: var(--soft); }
.pass { color: var(--good); white-space: nowrap; }
.warn { color: var(--bad); font-weight: 600; white-space: nowrap; }
.not-checked { color: var(--soft); white-space: nowrap; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
.narrow { display: none; }
@media screen and (max-width: 640px) {
.narrow { display: block; }
.wide { display: none; }
h1 { font-size: 22px; }
.stacked thead { display: none; }
.stacked tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--line); }
.stacked td { display: inline-block; border: 0; padding: 0 12px 0 0; }
.stacked td.wordy { display: block; }
.stacked td[data-name]::before { content: attr(data-name) " "; color: var(--soft); }
.stacked td:empty { display: none; }
}
@media print {
body { max-width: none; padding: 0; font-size: 11pt; }
h2 { break-after: avoid; }
}
</style>
)";

/// Collects the elements of a page.
class Html {
 public:
  explicit Html(std::string_view title) {
    html_ = fmt::format(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n<meta "
        "name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
        "<title>{0}</title>\n{1}</head>\n<body>\n<h1>{0}</h1>\n",
        escaped(title), style);
  }

  void heading(std::string_view text) { html_ += fmt::format("<h2>{}</h2>\n", escaped(text)); }
  void paragraph(std::string_view text, std::string_view css_class = "") {
    html_ += fmt::format("<p class=\"{}\">{}</p>\n", css_class, escaped(text));
  }
  void raw(std::string_view html) { html_ += html; }

  /// Adds a chart in two widths: for wide screens and paper, and for narrow screens.
  void figure(std::string_view wide, std::string_view narrow) {
    html_ += fmt::format(
        "<figure class=\"wide\">\n{}</figure>\n<figure class=\"narrow\">\n{}</figure>\n", wide,
        narrow);
  }

  struct Column {
    std::string_view name;
    std::string_view css_class = "";
  };
  /// On a narrow screen, a `stacked` table shows its cells below each other; others scroll
  /// sideways.
  void open_table(std::initializer_list<Column> columns, bool stacked = false) {
    html_ +=
        fmt::format("<div class=\"scroll\">\n<table class=\"{}\">\n", stacked ? "stacked" : "");
    if (columns.size() > 0) {
      html_ += "<thead><tr>";
      for (const auto& column : columns)
        html_ += fmt::format("<th class=\"{}\">{}</th>", column.css_class, escaped(column.name));
      html_ += "</tr></thead>\n";
    }
    html_ += "<tbody>\n";
  }
  struct Cell {
    std::string_view css_class;
    std::string text;
    std::string_view name = "";  ///< label of the cell in a stacked table
  };
  void row(std::initializer_list<Cell> cells) {
    html_ += "<tr>";
    for (const auto& cell : cells) {
      const std::string name =
          cell.name.empty() ? "" : fmt::format(" data-name=\"{}\"", escaped(cell.name));
      html_ +=
          cell.css_class == "code"
              ? fmt::format("<td class=\"wordy\"{}><code>{}</code></td>", name, escaped(cell.text))
              : fmt::format("<td class=\"{}\"{}>{}</td>", cell.css_class, name, escaped(cell.text));
    }
    html_ += "</tr>\n";
  }
  void close_table() { html_ += "</tbody>\n</table>\n</div>\n"; }

  [[nodiscard]] std::string finish() && {
    html_ += "</body>\n</html>\n";
    return std::move(html_);
  }

 private:
  std::string html_;
};

/// The CSS class of a result and the words that show it.
std::pair<const char*, const char*> shown(CheckResult result) {
  switch (result) {
    case CheckResult::pass:
      return {"pass", "✓ PASS"};
    case CheckResult::warn:
      return {"warn", "▲ WARN"};
    case CheckResult::not_checked:
      break;
  }
  return {"not-checked", "– not checked"};
}

void add_checks(Html& html, const std::vector<Finding>& checks) {
  if (checks.empty()) return;
  html.heading("Checks");
  html.open_table({{"check"}, {"result"}, {"value", "number"}, {"limit", "number"}, {""}}, true);
  for (const auto& check : checks) {
    const auto [css_class, label] = shown(check.result);
    const bool measured = check.result != CheckResult::not_checked;
    html.row({{"name", check.check},
              {css_class, label},
              {"number", measured ? fmt::format("{:.3f}", check.value) : "", "value"},
              {"number", fmt::format("{:.2f}", check.limit), "limit"},
              {"wordy",
               check.remedy.empty() ? check.sentence : check.sentence + " Try: " + check.remedy}});
  }
  html.close_table();
}

void add_betas(Html& html, const ScheduleView& schedule, Interval envelope) {
  html.heading("Beta");
  const HistogramOptions wide{.envelope = envelope},
      narrow{.envelope = envelope, .bins = 18, .width = narrow_width};
  html.figure(beta_histogram_svg(schedule, wide), beta_histogram_svg(schedule, narrow));
  html.figure(beta_ecdf_svg(schedule, wide), beta_ecdf_svg(schedule, narrow));
  html.open_table({{"category"},
                   {"pairs", "number"},
                   {"min", "number"},
                   {"25 %", "number"},
                   {"median", "number"},
                   {"75 %", "number"},
                   {"max", "number"},
                   {"mean gap", "number"}});
  for (const auto& row : beta_rows(schedule)) {
    const auto at = [&](std::size_t i) { return fmt::format("{:.3f}", row.quartiles[i]); };
    html.row({{"name", row.name},
              {"number", std::to_string(row.pairs)},
              {"number", at(0)},
              {"number", at(1)},
              {"number", at(2)},
              {"number", at(3)},
              {"number", at(4)},
              {"number", row.mean_gap ? fmt::format("{:.3f}", *row.mean_gap) : "–"}});
  }
  html.close_table();
}

void add_agreement(Html& html, const std::vector<AgreementFigure>& figures) {
  if (figures.empty()) return;
  html.heading("Agreement");
  html.open_table(
      {{"figure"}, {"units", "number"}, {"value", "number"}, {"95 % interval", "number"}});
  std::string_view heading;
  for (const auto& figure : figures) {
    if (figure.heading != heading) {
      heading = figure.heading;
      html.raw(fmt::format("<tr><th colspan=\"4\">{}</th></tr>\n", escaped(heading)));
    }
    const auto& estimate = figure.estimate;
    if (!estimate.value) {
      html.raw(fmt::format(
          "<tr><td>{}</td><td class=\"number\">{}</td><td colspan=\"2\" class=\"soft\">{}</td>"
          "</tr>\n",
          escaped(figure.name), estimate.n, escaped("undefined: " + estimate.reason)));
      continue;
    }
    html.row({{"", figure.name},
              {"number", std::to_string(estimate.n)},
              {"number", fmt::format("{:.3f}", *estimate.value)},
              {"number", estimate.ci
                             ? fmt::format("{:.3f} to {:.3f}", estimate.ci->low, estimate.ci->high)
                             : ""}});
  }
  html.close_table();
  html.paragraph(
      "Agreement shows that annotators see the same thing, not that they are right: a panel can "
      "agree on length or style.",
      "soft");
}

void add_provenance(Html& html, const Page& page) {
  if (page.sources.empty() && page.parameters.empty()) return;
  html.heading("Provenance");
  if (!page.sources.empty()) {
    html.open_table({{"role"}, {"file"}, {"rows", "number"}, {"SHA-256"}}, true);
    for (const auto& source : page.sources)
      html.row({{"name", source.role},
                {"code", source.path},
                {"number", std::to_string(source.rows), "rows"},
                {"code", source.sha256}});
    html.close_table();
  }
  if (!page.parameters.empty()) {
    html.open_table({{"part"}, {"parameters"}}, true);
    for (const auto& [name, value] : page.parameters) html.row({{"name", name}, {"code", value}});
    html.close_table();
  }
}

}  // namespace

std::string html_page(const ScheduleView& schedule, const Page& page) {
  Html html(page.title);
  if (!page.facts.empty()) {
    html.open_table({});
    for (const auto& [name, value] : page.facts) html.row({{"", name}, {"number", value}});
    html.close_table();
  }
  add_checks(html, page.checks);
  add_betas(html, schedule, page.envelope);
  if (!page.annotators.empty()) {
    html.heading("Annotators");
    html.figure(annotator_gaps_svg(page.annotators),
                annotator_gaps_svg(page.annotators, narrow_width));
  }
  add_agreement(html, page.agreement);
  if (!page.reliability.empty()) {
    html.heading("Calibration");
    html.figure(reliability_svg(page.reliability),
                reliability_svg(page.reliability, "Reliability", narrow_width));
  }
  add_provenance(html, page);
  return std::move(html).finish();
}

}  // namespace sp2dpo::report
