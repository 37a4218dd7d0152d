// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using test::slurp;
using testing::HasSubstr;
using testing::IsEmpty;

Schedule schedule() {
  std::vector<ScheduleEntry> entries;
  entries.push_back({"a", 0.1 + 0.2, SemanticGap{1.25, Category(1), 3, 9, 0.5}, Clip::high});
  entries.push_back({"b", 1, SemanticGap{-1, Category(0), 1, 1, 0}, Clip::low});
  entries.push_back({"c", 0.165, SemanticGap{0.5, Category(0), 2, 3, 1.0 / 3}, Clip::none});
  entries.push_back({.id = "d\u00e9", .beta = 0.1});
  return Schedule(std::move(entries), Categories({"content", "tone"}));
}

ScheduleManifest manifest() {
  return {.inputs = {{"pairs", "p.jsonl", "00ff", 5}, {"annotations", "a \"b\".jsonl", "11ee", 13}},
          .aggregator = describe(Jmamp{.min_prompts = 2, .category_weights = {1, 0.5}}),
          .mapper = describe(Linear()),
          .missing = describe(Missing{Missing::Policy::base_beta, 0.1}),
          .counts = count(schedule(), 5, 13),
          .program = "sp2dpo 9.9.9"};
}

constexpr std::string_view manifest_text =
    R"({"aggregator":{"name":"jmamp","parameters":{"category_weights":[1.0,0.5],)"
    R"("min_annotators":1,"min_prompts":2}},)"
    R"("categories":["content","tone"],)"
    R"("counts":{"annotations":13,"clipped_high":1,"clipped_low":1,"missing":2,"pairs":5},)"
    R"("format":"sp2dpo.schedule",)"
    R"("inputs":[{"path":"p.jsonl","role":"pairs","rows":5,"sha256":"00ff"},)"
    R"({"path":"a \"b\".jsonl","role":"annotations","rows":13,"sha256":"11ee"}],)"
    R"("mapper":{"name":"linear","parameters":{"envelope":[0.03,0.3],"gap_range":[0.0,1.0]}},)"
    R"("missing":{"name":"base-beta","parameters":{"beta":0.1}},"program":"sp2dpo 9.9.9",)"
    R"("version":1})"
    "\n";

constexpr std::string_view rows_text =
    R"({"beta":0.30000000000000004,"category":"tone","flags":["clipped_high"],"gap":1.25,)"
    R"("id":"a","n_annotations":9,"n_annotators":3,"spread":0.5}
{"beta":1.0,"category":"content","flags":["clipped_low"],"gap":-1.0,"id":"b",)"
    R"("n_annotations":1,"n_annotators":1,"spread":0.0}
{"beta":0.165,"category":"content","gap":0.5,"id":"c","n_annotations":3,"n_annotators":2,)"
    R"("spread":0.3333333333333333}
{"beta":0.1,"category":null,"flags":["missing"],"gap":null,"id":"dé","n_annotations":0,)"
    R"("n_annotators":0,"spread":null}
)";

TEST(WriteSchedule, WritesTheManifestAndOneCanonicalLinePerPair) {
  const Folder folder;
  write_schedule(folder / "s.jsonl", schedule(), manifest());
  EXPECT_EQ(slurp(folder / "s.jsonl"), std::string(manifest_text) + std::string(rows_text));
  EXPECT_EQ(folder.names().size(), 1u);
}

TEST(WriteSchedule, WritesTheManifestToItsOwnFileOnRequest) {
  const Folder folder;
  write_schedule(folder / "s.jsonl", schedule(), manifest(), folder / "m.json");
  EXPECT_EQ(slurp(folder / "s.jsonl"), rows_text);
  EXPECT_EQ(slurp(folder / "m.json"), manifest_text);
  const auto back = read_schedule(folder / "s.jsonl", Categories({"content", "tone"}));
  EXPECT_FALSE(back.manifest.has_value());
  EXPECT_EQ(back.schedule.size(), 4u);
}

TEST(WriteSchedule, LeavesNothingOnFailure) {
  const Folder folder;
  EXPECT_THROW(write_schedule(folder / "s.jsonl", schedule(), manifest(), folder / "no/m.json"),
               DataError);
  auto bad = manifest();
  bad.mapper.parameters["x"] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(write_schedule(folder / "s.jsonl", schedule(), bad), InvalidArgument);
  EXPECT_THROW(write_schedule(folder / "s.jsonl.gz", schedule(), manifest()), InvalidArgument);
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(WriteSchedule, NamesItsOwnProgramByDefault) {
  const Folder folder;
  write_schedule(folder / "s.jsonl", schedule(), {});
  EXPECT_THAT(read_schedule(folder / "s.jsonl").manifest.value().program,
              testing::MatchesRegex("sp2dpo [0-9]+\\.[0-9]+\\.[0-9]+"));
}

TEST(Schedules, WriteAndReadWeights) {
  const Folder folder;
  const Schedule weighted(
      {{.id = "a", .beta = 0.1, .weight = 0.5}, {.id = "b", .beta = 0.1, .weight = 1.5}});
  write_schedule(folder / "s.jsonl", weighted, {});
  EXPECT_THAT(slurp(folder / "s.jsonl"), HasSubstr(R"("spread":null,"weight":0.5})"));
  const auto back = read_schedule(folder / "s.jsonl").schedule;
  EXPECT_EQ(back.find("b")->weight, 1.5);

  for (const std::string_view rows : {R"({"id":"a","beta":1,"weight":1}
{"id":"b","beta":1})",
                                      R"({"id":"a","beta":1}
{"id":"b","beta":1,"weight":1})",
                                      R"({"id":"a","beta":1,"weight":1}
{"id":"b","beta":1,"weight":-1})"}) {
    const auto error = error_of([&] { (void)read_schedule(folder.write("bad.jsonl", rows)); });
    EXPECT_EQ(error.line, 2) << rows;
    EXPECT_EQ(error.field, "weight") << rows;
  }
}

TEST(Describe, NamesThePartsAndAllTheirParameters) {
  const auto text = [](const PartDescription& part) { return to_json(part).text(); };
  EXPECT_EQ(text(describe(MeanMedian{.min_prompts = 2})),
            R"({"name":"mean-median","parameters":{"min_annotators":1,"min_prompts":2}})");
  EXPECT_EQ(text(describe(PooledTrimmedMean{.statistic = {.share = 0.25}})),
            R"({"name":"trimmed-mean","parameters":{"min_annotators":1,"min_prompts":1,)"
            R"("share":0.25}})");
  EXPECT_EQ(
      text(describe(Logistic(0.5, 8, {0.1, 0.2}))),
      R"({"name":"logistic","parameters":{"envelope":[0.1,0.2],"midpoint":0.5,"slope":8.0}})");
  EXPECT_EQ(text(describe(Rank({1}))), R"({"name":"rank","parameters":{"envelope":[0.03,0.3]}})");
  EXPECT_EQ(text(describe(Constant(0.1))), R"({"name":"constant","parameters":{"beta":0.1}})");
  EXPECT_EQ(text(describe(ByCategory({Linear({0.1, 0.5})}), Categories({"tone"}))),
            R"({"name":"category","parameters":{"tone":{"name":"linear","parameters":)"
            R"({"envelope":[0.1,0.5],"gap_range":[0.0,1.0]}}}})");
  EXPECT_THROW((void)describe(ByCategory({Linear()}), Categories()), InvalidArgument);
}

TEST(ReadSchedule, ReadsBackWhatWasWritten) {
  const Folder folder;
  write_schedule(folder / "s.jsonl", schedule(), manifest());
  const auto back = read_schedule(folder / "s.jsonl");
  EXPECT_EQ(back.manifest, manifest());
  EXPECT_EQ(back.schedule.categories(), Categories({"content", "tone"}));
  const auto expected = schedule();
  ASSERT_EQ(back.schedule.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& was = expected.entries()[i];
    const auto& is = back.schedule.entries()[i];
    EXPECT_EQ(is.id, was.id);
    EXPECT_EQ(is.beta, was.beta);  // to the last bit
    EXPECT_EQ(is.clipped, was.clipped);
    ASSERT_EQ(is.gap.has_value(), was.gap.has_value());
    if (!is.gap) continue;
    EXPECT_EQ(is.gap->value, was.gap->value);
    EXPECT_EQ(is.gap->category, was.gap->category);
    EXPECT_EQ(is.gap->n_annotators, was.gap->n_annotators);
    EXPECT_EQ(is.gap->n_annotations, was.gap->n_annotations);
    EXPECT_EQ(is.gap->spread, was.gap->spread);
  }
}

TEST(ReadSchedule, ReadsAScheduleOfIdsAndBetasOnly) {
  const Folder folder;
  const auto path = folder.write("s.jsonl", "{\"id\":\"a\",\"beta\":0.1}\n{\"id\":2,\"beta\":1}\n");
  EXPECT_EQ(read_schedule(path).schedule.betas(std::vector<std::string>{"2", "a"}),
            (std::vector<double>{1, 0.1}));
}

TEST(ReadSchedule, NamesTheInvalidField) {
  struct Case {
    std::string_view line, field, message;
  };
  for (const auto& [line, field, message] :
       {Case{R"({"beta":0.1})", "id", "is missing"}, Case{R"({"id":"a"})", "beta", "is missing"},
        Case{R"({"id":"a","beta":0})", "beta", "must be positive"},
        Case{R"({"id":"a","beta":-0.1})", "beta", "not -0.1"},
        Case{R"({"id":"a","beta":"0.1"})", "beta", "expected a number"},
        Case{R"({"id":"a","beta":NaN})", "beta", "NaN"},
        Case{R"({"id":"a","beta":0.1,"gap":0.5})", "category", "is missing"},
        Case{R"({"id":"a","beta":0.1,"category":"tone","gap":0.5})", "category",
             "unknown category"},
        Case{R"({"id":"a","beta":0.1,"category":"style","gap":null})", "gap", "is missing"},
        Case{R"({"id":"a","beta":0.1,"category":"style","gap":0,"n_annotators":-1})",
             "n_annotators", "expected an integer in [0"},
        Case{R"({"id":"a","beta":0.1,"category":"style","gap":0,"spread":-1})", "spread", "not -1"},
        Case{R"({"id":"a","beta":0.1,"flags":"missing"})", "flags", "expected a list"},
        Case{R"({"format":"other.format","version":1})", "format",
             "expected \"sp2dpo.schedule\", not \"other.format\""},
        Case{R"({"format":"sp2dpo.schedule","version":2})", "version", "unsupported version 2"},
        Case{R"({"format":"sp2dpo.schedule"})", "version", "is missing"},
        Case{R"({"format":"sp2dpo.schedule","version":1,"categories":["a","a"]})", "categories",
             "duplicate category"},
        Case{R"({"format":"sp2dpo.schedule","version":1,"counts":{"pairs":-1}})", "counts.pairs",
             "not -1"}}) {
    const Folder folder;
    const auto path = folder.write("s.jsonl", line);
    const auto error = error_of([&] { (void)read_schedule(path); });
    EXPECT_EQ(error.field, field) << line;
    EXPECT_EQ(error.line, 1) << line;
    EXPECT_THAT(error.what(), HasSubstr(message)) << line;
  }
}

TEST(ReadSchedule, RefusesADuplicateIdAndALateManifest) {
  const Folder folder;
  const std::string row = "{\"id\":\"a\",\"beta\":0.1}\n";
  const auto twice = error_of([&] { (void)read_schedule(folder.write("s.jsonl", row + row)); });
  EXPECT_EQ(twice.line, 2);
  EXPECT_EQ(twice.field, "id");
  const auto late = error_of([&] {
    (void)read_schedule(
        folder.write("s.jsonl", row + R"({"format":"sp2dpo.schedule","version":1})"));
  });
  EXPECT_EQ(late.line, 2);
  EXPECT_EQ(late.field, "format");
}

TEST(Count, CountsPairsWithoutAGapWhetherDroppedOrFilled) {
  // Of six pairs, four have a beta and one of those lacks a gap.
  EXPECT_EQ(count(schedule(), 6, 13), (ScheduleCounts{6, 13, 3, 1, 1}));
}

TEST(Describe, NamesThePolicyForMissingGaps) {
  EXPECT_EQ(describe(Missing{}).name, "error");
  EXPECT_EQ(describe(Missing{Missing::Policy::drop}).name, "drop");
  EXPECT_EQ(describe(Missing{Missing::Policy::base_beta, 2}),
            (PartDescription{"base-beta", {{"beta", 2.0}}}));
}

}  // namespace
}  // namespace sp2dpo::io
