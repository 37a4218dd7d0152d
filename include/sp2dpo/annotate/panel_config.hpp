// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/annotate/teacher.hpp>

namespace sp2dpo::annotate {

/// Which answer is shown first in the blind form.
enum class Orders : std::uint8_t {
  both,   ///< each pair twice, once in either order
  random  ///< once, as random_order() says
};

/// Who is asked what: every pair by every teacher under every prompt.
struct PanelConfig {
  std::vector<Teacher> teachers{};
  std::vector<Prompt> prompts{};
  Orders orders = Orders::random;
  int samples = 1;
  std::uint64_t seed = 0;  ///< of the random order
};

/// Reads a panel's configuration (docs/prompts.md), in TOML. Templates come from `prompts` where
/// it is not empty, else from the folder that the file names, else they are the library's own.
/// Throws DataError with the line for an unknown key, a wrong type, a value out of range, a
/// parameter that the teacher does not take, and two teachers whose requests would be the same.
[[nodiscard]] PanelConfig read_panel_config(const std::filesystem::path& file,
                                            const std::filesystem::path& prompts = {});

/// Which answer is shown first: by SHA-256 of seed and id.
[[nodiscard]] Order random_order(std::string_view pair_id, std::uint64_t seed);

/// All that the panel asks about a pair, by teacher, prompt, order and sample. `endpoints` has one
/// for each teacher, or is empty: nobody can be asked then. Borrows the panel.
[[nodiscard]] std::vector<PanelMember> panel_members(const PanelConfig& panel,
                                                     std::span<Endpoint* const> endpoints);

}  // namespace sp2dpo::annotate
