// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include <fmt/format.h>

namespace sp2dpo::tool {

/// Parses `NAME[:key=value,…]`. Each key that is read is removed; finish() reports the rest as
/// unknown. The methods throw UsageError.
class Spec {
 public:
  Spec(std::string_view option, std::string_view text);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string what() const { return fmt::format("{} {}", option_, name_); }

  /// The value of a key; nullopt if it is missing.
  std::optional<std::string> text(std::string_view key);
  /// The value as a number; `otherwise` if it is missing.
  double number(std::string_view key, std::optional<double> otherwise = std::nullopt);
  /// The value of `seed`; 0 if it is missing.
  std::uint64_t seed();
  /// Throws if keys remain. Call it after reading all known keys.
  void finish() const;

 private:
  std::string_view option_;
  std::string name_;
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> known_;
};

/// The entry with that name. Throws UsageError listing the names if the table lacks it.
template <class Table>
const auto& find(const Table& table, std::string_view option, std::string_view name) {
  const auto found = std::ranges::find(table, name, [](const auto& entry) { return entry.name; });
  if (found != std::end(table)) return *found;
  std::string names;
  for (const auto& entry : table)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", entry.name);
  throw UsageError(fmt::format("{}: unknown \"{}\"; expected one of: {}", option, name, names));
}

template <class Table>
std::string list(std::string_view title, const Table& table) {
  std::string text(title);
  for (const auto& entry : table)
    text += fmt::format("\n  {:<16}{}{}", entry.name, entry.meaning,
                        entry.keys.empty() ? "" : fmt::format("\n{:18}:{}", "", entry.keys));
  return text;
}

}  // namespace sp2dpo::tool
