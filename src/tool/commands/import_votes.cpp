// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "input/pairs.hpp"
#include "input/skipped_rows.hpp"
#include "named_files.hpp"
#include "text/counted.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/votes.hpp>

namespace sp2dpo::tool {

namespace {

struct ImportVotesOptions {
  PairOptions pairs;
  CategoryOptions categories;
  std::string votes;
  std::string out;
  std::vector<std::string> annotators;
  std::vector<std::string> prompts;
  std::string category;
  std::string category_field;
  std::vector<std::string> category_map;
};

io::VoteImportOptions import_options(const ImportVotesOptions& options) {
  io::VoteImportOptions result{.annotators = options.annotators,
                               .prompts = options.prompts,
                               .categories = options.categories.categories(),
                               .category_field = options.category_field};
  if (options.category.empty() == options.category_field.empty())
    throw UsageError(
        fmt::format("votes have no category: set one for all pairs with --category, or name the "
                    "field of the pair "
                    "that holds it with --category-field\n"
                    "  categories: {}",
                    result.categories.list()));
  const auto known = [&](std::string_view option, const std::string& name) {
    const auto category = result.categories.find(name);
    if (!category)
      throw UsageError(fmt::format("{}: unknown category \"{}\"; expected one of: {}", option, name,
                                   result.categories.list()));
    return *category;
  };
  if (!options.category.empty()) result.category = known("--category", options.category);
  for (const auto& entry : options.category_map) {
    const auto equals = entry.rfind('=');
    if (equals == std::string::npos || options.category_field.empty())
      throw UsageError(
          fmt::format("--category-map requires --category-field and takes "
                      "VALUE=CATEGORY, not \"{}\"",
                      entry));
    const auto category = entry.substr(equals + 1);
    (void)known("--category-map", category);
    result.category_names[entry.substr(0, equals)] = category;
  }
  return result;
}

void run(const ImportVotesOptions& options) {
  const auto import = import_options(options);
  io::AnnotationWriter writer(checked_output(options.out), import.categories);
  io::PairReader pairs = open_pairs(options.pairs);
  io::VoteImportCounts counts;
  try {
    counts = io::import_votes(pairs, options.votes, import,
                              [&](const Annotation& annotation) { writer.write(annotation); });
  } catch (const DataError& error) {
    if (import.category_field.empty() || error.field != import.category_field) throw;
    throw Error(fmt::format("{}\n  --category-map VALUE=CATEGORY,... translates such values",
                            error.what()));
  }
  list_skipped(pairs);
  writer.finish();
  fmt::print(
      "{} of {} by {} under {}, from {}\n"
      "  votes without a winner: {}; (pair, annotator, prompt) cells without a usable vote: {}\n"
      "wrote {}; next: sp2dpo schedule --pairs {} --annotations {} --out SCHEDULE\n",
      text::counted(counts.annotations, "annotation"), text::counted(counts.pairs, "pair"),
      text::counted(import.annotators.size(), "annotator"),
      text::counted(import.prompts.size(), "prompt"), text::counted(counts.votes, "vote"),
      counts.unreadable, counts.without, options.out, options.pairs.file, options.out);
}

}  // namespace

Run declare_import_votes(args::Command app) {
  const auto options = std::make_shared<ImportVotesOptions>();
  options->pairs.declare(app);
  options->categories.declare(app);
  app.section("Input");
  app.option("--votes", &options->votes,
             "CSV with the columns pair_id, llm, prompt_variant, swapped, winner")
      .file(args::FileUse::read)
      .required();
  app.option("--annotators", &options->annotators, "Values of llm to import: A,B,C")
      .required()
      .separated_by(',');
  app.option("--prompts", &options->prompts, "Values of prompt_variant to import: X,Y,Z")
      .required()
      .separated_by(',');
  app.section("Judgments");
  app.option("--category", &options->category, "Category of every pair");
  app.option("--category-field", &options->category_field,
             "Field of the pair that holds its category, such as meta.subset");
  app.option("--category-map", &options->category_map,
             "Translation of the field's values: VALUE=CATEGORY,...")
      .separated_by(',');
  app.section("Output");
  app.option("-o,--out", &options->out, "Annotations to write, .jsonl")
      .file(args::FileUse::write)
      .required();
  app.footer(
      "A vote is 1 or 2; meta.gold_label of the pair says which of the two responses is the chosen "
      "one.\n"
      "The mean over both orders gives preferred and magnitude.\n\n"
      "Example:\n"
      "  sp2dpo import-votes --pairs pairs.jsonl --votes votes.csv --annotators GPT-4,PaLM2 \\\n"
      "    --prompts Vanilla,CoT --category instruction --out annotations.jsonl\n");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
