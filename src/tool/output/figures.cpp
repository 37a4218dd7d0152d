// SPDX-License-Identifier: Apache-2.0
#include "output/figures.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace sp2dpo::tool {

using stats::Estimate;

namespace {

void write_value(text::JsonWriter& json, const std::optional<double>& value) {
  if (value)
    json.number(*value);
  else
    json.raw("null");
}

void write_reason(text::JsonWriter& json, const std::string& reason) {
  if (reason.empty())
    json.raw("null");
  else
    json.text(reason);
}

/// The members n, reason and value.
void write_figure(text::JsonWriter& json, const Estimate& estimate) {
  json.key("n").integer(estimate.n);
  json.key("reason");
  write_reason(json, estimate.reason);
  json.key("value");
  write_value(json, estimate.value);
}

}  // namespace

void write_json(text::JsonWriter& json, const Estimate& estimate) {
  json.open('{');
  json.key("ci");
  if (estimate.ci) {
    json.open('[');
    json.item().number(estimate.ci->low);
    json.item().number(estimate.ci->high);
    json.close(']');
  } else {
    json.raw("null");
  }
  write_figure(json, estimate);
  json.close('}');
}

void write_json(text::JsonWriter& json, const Figures& figures,
                const std::vector<std::string>& raters) {
  std::set<std::string> names;
  for (const auto& [name, group] : figures.groups) names.insert(name);
  for (const auto& [name, estimate] : figures.single) names.insert(name);
  for (const auto& [name, list] : figures.paired) names.insert(name);
  for (const auto& name : names) {
    json.key(name);
    if (const auto group = figures.groups.find(name); group != figures.groups.end()) {
      json.open('{');
      for (const auto& [key, estimate] : group->second) write_json(json.key(key), estimate);
      json.close('}');
    } else if (const auto single = figures.single.find(name); single != figures.single.end()) {
      write_json(json, single->second);
    } else {
      json.open('[');
      for (const auto& [a, b, estimate] : figures.paired.at(name)) {
        json.item().open('{');
        json.key("a").text(raters[a]);
        json.key("b").text(raters[b]);
        write_figure(json, estimate);
        json.close('}');
      }
      json.close(']');
    }
  }
}

std::string shown(const Estimate& estimate) {
  if (!estimate.value) return fmt::format("undefined: {}", estimate.reason);
  std::string text = fmt::format("{:8.4f}", *estimate.value);
  if (estimate.ci) text += fmt::format("  [{:.4f}, {:.4f}]", estimate.ci->low, estimate.ci->high);
  return text;
}

void print(const std::string& title, const Figures& figures,
           const std::vector<std::string>& raters) {
  fmt::print("\n{}\n", title);
  const auto line = [](const std::string& name, const Estimate& estimate) {
    fmt::print("  {:<32}{:>8}  {}\n", name, estimate.n, shown(estimate));
  };
  fmt::print("  {:<32}{:>8}  {:>8}\n", "", "units", "value");
  for (const auto& [name, group] : figures.groups)
    for (const auto& [key, estimate] : group) line(name + " " + key, estimate);
  for (const auto& [name, estimate] : figures.single) line(name, estimate);
  constexpr std::size_t max_shown = 20;
  for (const auto& [name, list] : figures.paired) {
    fmt::print("  {}\n", name);
    for (std::size_t i = 0; i < std::min(max_shown, list.size()); ++i)
      line(fmt::format("  {} - {}", raters[list[i].a], raters[list[i].b]), list[i].estimate);
    if (list.size() > max_shown)
      fmt::print("    and {} more pairs of raters\n", list.size() - max_shown);
  }
}

}  // namespace sp2dpo::tool
