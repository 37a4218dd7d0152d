// SPDX-License-Identifier: Apache-2.0
#include "choose_prompts.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

/// A listed prompt: its name and, behind an `@`, its version.
struct Listed {
  std::string_view name;
  std::optional<int> version{};
};

Listed parse_listed(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) return {text};
  const auto digits = text.substr(at + 1);
  int version = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  detail::require(error == std::errc() && end == digits.data() + digits.size(),
                  "\"{}\": expected a version number behind the @", text);
  return {text.substr(0, at), version};
}

std::vector<const Prompt*> versions_of(std::string_view name, std::span<const Prompt> candidates) {
  std::vector<const Prompt*> found;
  for (const auto& prompt : candidates)
    if (prompt.name() == name || prompt.name() == std::string(name) + "-blind")
      found.push_back(&prompt);
  return found;
}

std::vector<std::string> names_of(std::span<const Prompt> candidates) {
  std::vector<std::string> names;
  for (const auto& prompt : candidates)
    if (std::ranges::find(names, prompt.name()) == names.end()) names.push_back(prompt.name());
  return names;
}

const Prompt& choose(const Listed& listed, std::span<const Prompt> candidates, int version) {
  const auto found = versions_of(listed.name, candidates);
  detail::require(!found.empty(), "unknown prompt \"{}\"; expected one of: {}", listed.name,
                  fmt::join(names_of(candidates), ", "));
  const auto match = std::ranges::find(found, listed.version.value_or(version), &Prompt::version);
  if (match != found.end()) return **match;
  if (!listed.version && found.size() == 1) return *found.front();
  std::vector<int> known;
  for (const auto* const prompt : found) known.push_back(prompt->version());
  detail::require(false, "unknown version {} of prompt \"{}\"; known versions: {}",
                  listed.version.value_or(version), listed.name, fmt::join(known, ", "));
  return *found.front();
}

}  // namespace

std::vector<Prompt> choose_prompts(std::span<const std::string> listed,
                                   std::span<const Prompt> candidates, int version) {
  std::vector<const Prompt*> chosen;
  const auto add = [&](const Prompt& prompt) {
    detail::require(std::ranges::find(chosen, &prompt) == chosen.end(), "duplicate prompt \"{}\"",
                    prompt.name());
    chosen.push_back(&prompt);
  };
  for (const auto& text : listed) add(choose(parse_listed(text), candidates, version));
  if (listed.empty())
    for (const auto& name : names_of(candidates)) add(choose({name}, candidates, version));

  std::vector<Prompt> prompts;
  for (const auto* const prompt : chosen) {
    const auto same_name = [&](const Prompt* other) { return other->name() == prompt->name(); };
    prompts.push_back(
        std::ranges::count_if(chosen, same_name) == 1
            ? *prompt
            : prompt->renamed(fmt::format("{}@{}", prompt->name(), prompt->version())));
  }
  return prompts;
}

}  // namespace sp2dpo::annotate
