// SPDX-License-Identifier: Apache-2.0
#include "parts/spec.hpp"

#include <utility>

#include "input/numbers.hpp"
#include "text/parse.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sp2dpo::tool {

Spec::Spec(std::string_view option, std::string_view text) : option_(option) {
  const auto colon = text.find(':');
  name_ = text.substr(0, colon);
  if (colon == std::string_view::npos) return;
  for (auto rest = text.substr(colon + 1); !rest.empty();) {
    const auto comma = rest.find(',');
    const auto item = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    const auto equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == item.size())
      throw UsageError(fmt::format("{}: expected NAME:key=value,..., not \"{}\"", what(), item));
    if (!values_.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
      throw UsageError(fmt::format("{}: duplicate key \"{}\"", what(), item.substr(0, equals)));
  }
}

std::optional<std::string> Spec::text(std::string_view key) {
  known_.emplace_back(key);
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  std::string value = std::move(found->second);
  values_.erase(found);
  return value;
}

double Spec::number(std::string_view key, std::optional<double> otherwise) {
  const auto value = text(key);
  if (value) return parse_number(fmt::format("{}: {}", what(), key), *value);
  if (!otherwise) throw UsageError(fmt::format("{} needs {}:{}=NUMBER", what(), name_, key));
  return *otherwise;
}

std::uint64_t Spec::seed() {
  const auto value = text("seed");
  if (!value) return 0;
  const auto seed = text::parse_whole<std::uint64_t>(*value);
  if (!seed)
    throw UsageError(
        fmt::format("{}: seed: expected a whole number >= 0, not \"{}\"", what(), *value));
  return *seed;
}

void Spec::finish() const {
  if (values_.empty()) return;
  throw UsageError(fmt::format("{}: unknown key \"{}\"; {}", what(), values_.begin()->first,
                               known_.empty()
                                   ? "it takes no keys"
                                   : fmt::format("expected one of: {}", fmt::join(known_, ", "))));
}

}  // namespace sp2dpo::tool
