// SPDX-License-Identifier: Apache-2.0
#include "output/findings.hpp"

#include <cstdio>
#include <string_view>

#include <fmt/format.h>
#include <terminal.hpp>

namespace sp2dpo::tool {

using report::CheckResult;

std::string shown(const report::Finding& check) {
  const bool warns = check.result == CheckResult::warn;
  const bool passes = check.result == CheckResult::pass;
  const std::string_view word = warns ? "WARN" : passes ? "PASS" : "-";
  const std::string result =
      warns || passes ? args::emphasized(
                            word, warns ? args::Emphasis::warning : args::Emphasis::success, stdout)
                      : std::string(word);
  std::string text =
      fmt::format("{}{:{}}{:<20}{}\n", result, "", 6 - word.size(), check.check, check.sentence);
  if (!check.remedy.empty()) text += fmt::format("{:26}try: {}\n", "", check.remedy);
  return text;
}

void write_json(text::JsonWriter& json, std::span<const report::Finding> checks) {
  json.open('[');
  for (const auto& check : checks) {
    const bool measured = check.result != CheckResult::not_checked;
    json.item().open('{');
    json.key("check").text(check.check);
    json.key("limit").number(check.limit);
    json.key("remedy");
    check.remedy.empty() ? json.raw("null") : json.text(check.remedy);
    json.key("result").text(!measured                           ? "not checked"
                            : check.result == CheckResult::warn ? "warn"
                                                                : "pass");
    json.key("sentence").text(check.sentence);
    json.key("value");
    measured ? json.number(check.value) : json.raw("null");
    json.close('}');
  }
  json.close(']');
}

}  // namespace sp2dpo::tool
