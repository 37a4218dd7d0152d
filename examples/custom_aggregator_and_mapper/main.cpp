// SPDX-License-Identifier: Apache-2.0
// A custom aggregator and a custom mapper: each is a plain function, without registration.
//
//     custom_aggregator_and_mapper pairs.jsonl annotations.jsonl schedule.jsonl
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <span>
#include <string>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/schedule/aggregate.hpp>

namespace {

/// The smallest of the annotators' gaps, each the median over the annotator's prompts.
/// gather_panel() does what the aggregators of a panel have in common; a lambda may also read the
/// annotations themselves.
const auto most_careful =
    [](std::span<const sp2dpo::Annotation> annotations) -> std::optional<sp2dpo::SemanticGap> {
  auto panel = sp2dpo::gather_panel(annotations, {.min_annotators = 2}, sp2dpo::Median{});
  if (!panel) return std::nullopt;
  panel->gap.value = std::ranges::min(panel->annotators);
  return panel->gap;
};

/// Multiplies beta by equal factors for equal steps of the gap. A panel that disagrees gets at most
/// the geometric mean of `low` and `high`.
struct Geometric {
  double low = 0.03;
  double high = 0.3;
  double at_odds = 0.5;  // the spread from which a panel disagrees

  double operator()(const sp2dpo::SemanticGap& gap) const {
    const double limit = gap.spread < at_odds ? 1.0 : 0.5;
    return low * std::pow(high / low, std::clamp(gap.value, 0.0, limit));
  }
};

void run(const std::string& pairs_file, const std::string& annotations_file,
         const std::string& out) {
  sp2dpo::io::PairReader pairs(pairs_file);
  for (sp2dpo::PreferencePair pair; pairs.next(pair);) continue;
  sp2dpo::VoteTable votes(pairs.take_ids());
  sp2dpo::io::AnnotationReader annotations(annotations_file);
  for (sp2dpo::Annotation annotation; annotations.next(annotation);)
    sp2dpo::io::add_to(votes, annotation, annotations);

  const Geometric geometric;
  const sp2dpo::Missing missing{sp2dpo::Missing::Policy::base_beta, 0.1};
  const sp2dpo::Gaps gaps = sp2dpo::aggregate(votes, most_careful);
  const sp2dpo::Schedule schedule = sp2dpo::map_gaps(gaps, geometric, missing);

  const auto n_pairs = static_cast<std::int64_t>(gaps.size());
  const auto n_annotations = static_cast<std::int64_t>(votes.n_annotations());
  sp2dpo::io::write_schedule(
      out, schedule,
      {.inputs = {{"pairs", pairs_file, pairs.sha256(), pairs.rows()},
                  {"annotations", annotations_file, annotations.sha256(), annotations.rows()}},
       .aggregator = {"most-careful", {{"min_annotators", 2}}},
       .mapper = {"geometric",
                  {{"at_odds", geometric.at_odds},
                   {"high", geometric.high},
                   {"low", geometric.low}}},
       .missing = sp2dpo::io::describe(missing),
       .counts = sp2dpo::io::count(schedule, n_pairs, n_annotations)});

  const auto [smallest, largest] = std::ranges::minmax(
      schedule.entries(), {}, [](const sp2dpo::ScheduleEntry& entry) { return entry.beta; });
  std::printf("%zu betas from %.4f (pair %s) to %.4f (pair %s)\n%s is written\n", schedule.size(),
              smallest.beta, smallest.id.c_str(), largest.beta, largest.id.c_str(), out.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s PAIRS ANNOTATIONS SCHEDULE\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
