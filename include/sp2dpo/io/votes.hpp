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

/// Which votes are wanted, and what a vote does not say.
struct VoteImportOptions {
  std::vector<std::string> annotators{};  ///< values of the column `llm`, at least one
  std::vector<std::string> prompts{};     ///< values of the column `prompt_variant`, at least one
  Categories categories{};
  /// Of every pair. Empty: `category_field` says it.
  std::optional<Category> category{};
  /// A field of the pair, `meta.subset`, whose text is a category or a key of `category_names`.
  std::string category_field{};
  std::map<std::string, std::string, std::less<>> category_names{};
};

struct VoteImportCounts {
  std::int64_t pairs{};
  std::int64_t votes{};        ///< rows of the wanted annotators and prompts
  std::int64_t unreadable{};   ///< of them, those without a winner
  std::int64_t annotations{};  ///< made of them
  std::int64_t without{};      ///< pair × annotator × prompt without a readable vote
};

/// Makes annotations of pairwise verdicts that people have already: a CSV file with the columns
/// `pair_id, llm, prompt_variant, swapped, winner`, and pairs whose `meta.gold_label` (1 or 2) says
/// which of the two answers is the chosen one (docs/formats.md). Calls `sink` pair by pair in the
/// order of the pairs file, then by annotator and prompt in the order of the options. Throws
/// DataError for a wrong row of either file, for a vote on an unknown pair, and for a name that
/// occurs nowhere in the file; InvalidArgument for options that leave something open.
VoteImportCounts import_votes(PairReader& pairs, const std::filesystem::path& votes,
                              const VoteImportOptions& options,
                              const std::function<void(const Annotation&)>& sink);

}  // namespace sp2dpo::io
