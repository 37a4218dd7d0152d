// SPDX-License-Identifier: Apache-2.0
#include "input/numbers.hpp"

#include <cmath>

#include "command.hpp"
#include "text/parse.hpp"
#include <fmt/format.h>

namespace sp2dpo::tool {

double parse_number(std::string_view option, std::string_view text) {
  const auto number = text::parse_whole<double>(text);
  if (!number || !std::isfinite(*number))
    throw UsageError(fmt::format("{}: expected a number, not \"{}\"", option, text));
  return *number;
}

Interval parse_interval(std::string_view option, std::string_view text) {
  const auto comma = text.find(',');
  if (comma == std::string_view::npos)
    throw UsageError(fmt::format("{}: expected two numbers, LOW,HIGH, not \"{}\"", option, text));
  return {parse_number(option, text.substr(0, comma)),
          parse_number(option, text.substr(comma + 1))};
}

}  // namespace sp2dpo::tool
