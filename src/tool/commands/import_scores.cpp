// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "input/numbers.hpp"
#include "input/pairs.hpp"
#include "input/skipped_rows.hpp"
#include "named_files.hpp"
#include "output/progress.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/annotate_all.hpp>
#include <sp2dpo/annotate/annotators.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>

namespace sp2dpo::tool {

namespace {

struct ImportScoresOptions {
  PairOptions pairs;
  CategoryOptions categories;
  std::string chosen;
  std::string rejected;
  std::string scale;
  double max_tie = 0;
  std::string category;
  bool ratings = false;
  std::vector<std::string> aspects;
  std::string annotator = "scores";
  std::string prompt = "import";
  double confidence = 1;
  std::string out;
};

/// The columns and the scale that the command line states, with the defaults of its mode.
struct ScoreColumns {
  std::string chosen;
  std::string rejected;
  Interval scale;
};

ScoreColumns score_columns(const ImportScoresOptions& options) {
  const std::string prefix = options.ratings ? "ratings" : "score";
  ScoreColumns columns{
      .chosen = options.chosen.empty() ? prefix + "_chosen" : options.chosen,
      .rejected = options.rejected.empty() ? prefix + "_rejected" : options.rejected,
      .scale = parse_interval("--scale", options.scale)};
  if (!(columns.scale.low < columns.scale.high))
    throw UsageError(
        fmt::format("--scale: expected LOW,HIGH with LOW below HIGH, got \"{}\"", options.scale));
  return columns;
}

std::unique_ptr<Annotator> from_ratings(const ImportScoresOptions& options,
                                        const ScoreColumns& columns, const Categories& categories) {
  if (!options.category.empty())
    throw UsageError("--category: with --ratings, each aspect has its category (--aspects)");
  if (options.max_tie != 0) throw UsageError("--max-tie: not supported with --ratings");
  annotate::RatingOptions from{.chosen = columns.chosen,
                               .rejected = columns.rejected,
                               .lowest = columns.scale.low,
                               .highest = columns.scale.high,
                               .categories = categories};
  if (!options.aspects.empty()) from.aspects.clear();
  for (const auto& entry : options.aspects) {
    const auto equals = entry.rfind('=');
    if (equals == std::string::npos)
      throw UsageError(fmt::format("--aspects: expected ASPECT=CATEGORY,..., got \"{}\"", entry));
    from.aspects[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return std::make_unique<annotate::FromRatings>(AnnotatorId{options.annotator, options.prompt},
                                                 std::move(from));
}

std::unique_ptr<Annotator> from_scores(const ImportScoresOptions& options,
                                       const ScoreColumns& columns, const Categories& categories) {
  if (!options.aspects.empty()) throw UsageError("--aspects: only with --ratings");
  if (options.category.empty())
    throw UsageError(fmt::format(
        "--category is required: scores have no category, and every annotation needs one; the "
        "categories: {}",
        categories.list()));
  const double scale = columns.scale.high - columns.scale.low;
  return std::make_unique<annotate::FromColumns>(
      AnnotatorId{options.annotator, options.prompt},
      annotate::ColumnOptions{
          .source = annotate::ColumnOptions::Scores{.chosen = columns.chosen,
                                                    .rejected = columns.rejected,
                                                    .lowest = columns.scale.low,
                                                    .highest = columns.scale.high},
          .scale = scale,
          .max_tie = options.max_tie,
          .category = categories.at(options.category),
          .confidence = options.confidence});
}

void run(const ImportScoresOptions& options) {
  const Categories categories = options.categories.categories();
  const ScoreColumns columns = score_columns(options);
  std::unique_ptr<Annotator> annotator;
  try {
    annotator = options.ratings ? from_ratings(options, columns, categories)
                                : from_scores(options, columns, categories);
  } catch (const InvalidArgument& error) {
    throw UsageError(error.what());
  }

  io::PairReader pairs = open_pairs(options.pairs);
  io::AnnotationWriter writer(checked_output(options.out), categories);
  std::array<std::int64_t, 3> preferred{};
  annotate::AnnotateCounts counts;
  {
    Progress progress(pairs);
    const std::array<const Annotator*, 1> annotators = {annotator.get()};
    counts = annotate::annotate_all(
        annotators, pairs,
        [&](const PreferencePair&, const AnnotatorId&, const AnnotationOutcome& outcome) {
          progress.row();
          const auto* annotation = std::get_if<Annotation>(&outcome);
          if (annotation == nullptr) return;
          ++preferred[static_cast<std::size_t>(annotation->preferred)];
          writer.write(*annotation);
        });
  }
  list_skipped(pairs);
  writer.finish();
  fmt::print(
      "{} annotations of {} pairs by {}: {} prefer the chosen response, {} the rejected one, {} "
      "are ties\n"
      "  {} against {}, on a scale from {} to {}: magnitude = |difference| / {}\n",
      counts.annotations, counts.pairs, options.annotator, preferred[0], preferred[1], preferred[2],
      columns.chosen, columns.rejected, columns.scale.low, columns.scale.high,
      columns.scale.high - columns.scale.low);
  if (counts.failures > 0)
    fmt::print("  {} pairs lack a score and have no annotation\n", counts.failures);
  fmt::print("{} is written; next: sp2dpo schedule --pairs {} --annotations {} --out SCHEDULE\n",
             options.out, options.pairs.file, options.out);
}

}  // namespace

Run declare_import_scores(args::Command app) {
  const auto options = std::make_shared<ImportScoresOptions>();
  options->pairs.declare(app);
  options->categories.declare(app);
  app.section("Scores");
  app.option("--scale", &options->scale, "LOW,HIGH: lowest and highest possible score").required();
  app.option("--chosen", &options->chosen,
             "Column with the score of the chosen response [score_chosen]");
  app.option("--rejected", &options->rejected,
             "Column with the score of the rejected response [score_rejected]");
  app.option("--max-tie", &options->max_tie,
             "Largest difference of two scores that counts as a tie")
      .non_negative()
      .show_default();
  app.option("--category", &options->category,
             "Category of every pair; required without --ratings");
  app.flag("--ratings", &options->ratings,
           "Each column holds an object with a rating per aspect [ratings_chosen, "
           "ratings_rejected]");
  app.option("--aspects", &options->aspects,
             "ASPECT=CATEGORY,...: the aspects to use with --ratings "
             "[helpfulness=helpfulness,honesty=factuality,instruction_following=instruction,"
             "truthfulness=factuality]")
      .separated_by(',');
  app.section("Judgments");
  app.option("--annotator", &options->annotator, "Name of the annotator in the annotations")
      .show_default();
  app.option("--prompt", &options->prompt, "Name of the prompt in the annotations").show_default();
  app.option("--confidence", &options->confidence, "Confidence of every annotation, in [0, 1]")
      .show_default();
  app.section("Output");
  app.option("-o,--out", &options->out, "Annotations to write, .jsonl")
      .file(args::FileUse::write)
      .required();
  app.footer(
      "The response with the higher score is preferred, and the magnitude of the annotation is\n"
      "|difference| / (HIGH - LOW). Equal scores are a tie of magnitude 0. A pair with a null\n"
      "score gets no annotation. A missing column, a value that is not a number and a score\n"
      "outside the scale are bad rows: they stop the command, or are listed with --lenient.\n"
      "With --ratings, the verdict is the mean over the aspects, and the confidence says how far\n"
      "they agree.\n\n"
      "Examples:\n"
      "  sp2dpo import-scores --pairs ultrafeedback.jsonl --scale 1,10 --category helpfulness \\\n"
      "    --out annotations.jsonl\n"
      "  sp2dpo import-scores --pairs pairs.jsonl --chosen reward_a --rejected reward_b \\\n"
      "    --scale 0,1 --max-tie 0.01 --category style --annotator reward-model --out a.jsonl\n"
      "  sp2dpo import-scores --pairs pairs.jsonl --ratings --scale 1,5 --out a.jsonl\n");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
