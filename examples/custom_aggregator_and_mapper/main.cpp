// SPDX-License-Identifier: Apache-2.0
// An aggregator and a mapper of one's own: a function each, which the library takes as it is.
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
#include <utility>
#include <vector>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace {

/// The panel's most careful word: the smallest of its annotators' gaps, each its median over
/// prompts. gather_panel() does what all aggregators of a panel need; a lambda may as well look at
/// the annotations themselves.
const auto most_careful =
    [](std::span<const sp2dpo::Annotation> votes) -> std::optional<sp2dpo::SemanticGap> {
  auto panel = sp2dpo::gather_panel(votes, {.min_annotators = 2}, sp2dpo::Median{});
  if (!panel) return std::nullopt;
  panel->gap.value = std::ranges::min(panel->annotators);
  return panel->gap;
};

/// Equal steps of the gap multiply beta by equal factors, and a panel that is at odds gets no more
/// than the middle of the way.
struct Geometric {
  double low = 0.03;
  double high = 0.3;
  double at_odds = 0.5;  // spread from which a panel is

  double operator()(const sp2dpo::SemanticGap& gap) const {
    const double most = gap.spread < at_odds ? 1.0 : 0.5;
    return low * std::pow(high / low, std::clamp(gap.value, 0.0, most));
  }
};

void run(const std::string& pairs_file, const std::string& annotations_file,
         const std::string& out) {
  std::vector<std::string> ids;
  sp2dpo::io::PairReader pairs(pairs_file);
  for (sp2dpo::PreferencePair pair; pairs.next(pair);) ids.push_back(pair.id);
  sp2dpo::ScheduleBuilder builder(std::move(ids));
  sp2dpo::io::AnnotationReader annotations(annotations_file);
  for (sp2dpo::Annotation annotation; annotations.next(annotation);)
    sp2dpo::io::add_to(builder, annotation, annotations);

  const Geometric geometric;
  const sp2dpo::Missing missing{sp2dpo::Missing::Policy::base_beta, 0.1};
  const sp2dpo::Schedule schedule = builder.build(most_careful, geometric, missing);

  const auto n_pairs = std::ssize(builder.ids());
  const auto n_annotations = static_cast<std::int64_t>(builder.n_annotations());
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

  const auto [least, most] = std::ranges::minmax(
      schedule.entries(), {}, [](const sp2dpo::ScheduleEntry& entry) { return entry.beta; });
  std::printf("%zu betas from %.4f (pair %s) to %.4f (pair %s)\n%s is written\n", schedule.size(),
              least.beta, least.id.c_str(), most.beta, most.id.c_str(), out.c_str());
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
