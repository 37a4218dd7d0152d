// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include <sp2dpo/annotate/judge.hpp>
#include <sp2dpo/annotate/panel.hpp>
#include <sp2dpo/annotate/prompt.hpp>

namespace sp2dpo::annotate {

/// The order in which the blind form shows the two responses.
enum class Orders : std::uint8_t {
  both,   ///< two questions per pair, one in each order
  random  ///< one question per pair, in its random_order()
};

/// A panel: every judge is asked about every pair under every prompt.
struct PanelConfig {
  std::vector<Judge> judges{};
  std::vector<Prompt> prompts{};
  Orders orders = Orders::random;
  int samples = 1;
  std::uint64_t seed = 0;        ///< of the random order
  bool built_in_prompts = true;  ///< false for prompts from a folder
};

/// Reads a panel's TOML file (docs/prompts.md). Templates come from the folder `prompts` if it is
/// given, else from the folder that the file names, else from the library. `prompt_version` applies
/// to the library's texts, unless the file names a version, as in "direct@1": pass
/// Store::prompt_version() to continue a store. Throws DataError with the line for an unknown key,
/// a wrong type, a value out of range, a parameter that the judge does not take, and two judges
/// that would send the same requests.
[[nodiscard]] PanelConfig read_panel_config(const std::filesystem::path& file,
                                            const std::filesystem::path& prompts = {},
                                            int prompt_version = latest_prompt_version);

/// Returns a member for each judge, prompt, order and sample, in that order. `endpoints` has one
/// endpoint per judge, or is empty for a panel that only plans and reads. Borrows the panel.
[[nodiscard]] std::vector<PanelMember> panel_members(const PanelConfig& panel,
                                                     std::span<Endpoint* const> endpoints);

}  // namespace sp2dpo::annotate
