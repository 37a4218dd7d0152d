// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/category.hpp>

namespace sp2dpo::io {

/// The votes to import, and the category that votes lack.
struct VoteImportOptions {
  std::vector<std::string> annotators{};  ///< values of the column `llm`, at least one
  std::vector<std::string> prompts{};     ///< values of the column `prompt_variant`, at least one
  Categories categories{};
  /// Category of every pair. Empty: taken from `category_field`.
  std::optional<Category> category{};
  /// Field of the pair, such as `meta.subset`, that holds a category or a key of `category_names`.
  std::string category_field{};
  std::map<std::string, std::string, std::less<>> category_names{};
};

/// Counts of votes read and annotations made.
struct VoteImportCounts {
  std::int64_t pairs{};
  std::int64_t votes{};        ///< rows of the selected annotators and prompts
  std::int64_t unreadable{};   ///< votes without a winner
  std::int64_t annotations{};  ///< annotations made
  std::int64_t without{};      ///< (pair, annotator, prompt) cells without a usable vote
};

/// Turns existing pairwise judgments into annotations (docs/formats.md). `votes` is a CSV file with
/// the columns `pair_id, llm, prompt_variant, swapped, winner`; `meta.gold_label` (1 or 2) of a
/// pair says which of the two responses is the chosen one. Calls `sink` pair by pair in the order
/// of the pairs file, then by annotator and prompt in the order of the options. Throws DataError
/// for an invalid row of either file, a vote on an unknown pair, and a name that the file lacks;
/// InvalidArgument for incomplete options.
VoteImportCounts import_votes(PairReader& pairs, const std::filesystem::path& votes,
                              const VoteImportOptions& options,
                              const std::function<void(const Annotation&)>& sink);

}  // namespace sp2dpo::io
