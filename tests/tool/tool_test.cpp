// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>

#include "files.hpp"
#include "program.hpp"
#include "real_panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view pairs = R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"}
{"id":"b","prompt":"p","chosen":"c","rejected":"r"}
{"id":"c","prompt":"p","chosen":"c","rejected":"r"}
)";

std::string annotation(std::string_view pair, std::string_view annotator, std::string_view prompt,
                       double magnitude, std::string_view more = "") {
  std::ostringstream line;
  line << R"({"pair_id":")" << pair << R"(","annotator":")" << annotator << R"(","prompt":")"
       << prompt << R"(","category":"style","magnitude":)" << magnitude << R"(,"confidence":1)"
       << more << "}\n";
  return line.str();
}

/// Gaps 1, 0.5 and -1.
std::string annotations() {
  return annotation("a", "x", "p", 1) + annotation("b", "x", "p", 0.25) +
         annotation("b", "y", "q", 0.75) +
         annotation("c", "x", "p", 1, R"(,"preferred":"rejected")");
}

class ScheduleCommand : public testing::Test {
 protected:
  ScheduleCommand() {
    folder_.write("p.jsonl", pairs);
    folder_.write("a.jsonl", annotations());
  }

  Outcome schedule(const std::string& more = "") {
    return run(folder_, "schedule --pairs p.jsonl --annotations a.jsonl --out s.jsonl " + more);
  }
  double beta(const std::string& id) {
    const auto file = io::read_schedule(folder_ / "s.jsonl");
    return file.schedule.betas(std::vector<std::string>{id}).at(0);
  }
  bool written() { return std::filesystem::exists(folder_ / "s.jsonl"); }

  Folder folder_;
};

// So many pairs are made into entries by two threads.
TEST_F(ScheduleCommand, MakesManyPairsInTheirOrderAndKeepsTheirLengthsBesideThem) {
  constexpr int n = 2400;
  const auto size = [](int i) { return i * 31 % 97; };
  const auto is_missing = [](int i) { return i % 7 == 3; };
  std::string many, said;
  for (int i = 0; i < n; ++i) {
    const auto id = "p" + std::to_string(i);
    many += R"({"id":")" + id + R"(","prompt":"p","rejected":"r","chosen":")" +
            std::string(static_cast<std::size_t>(size(i)), 'c') + "\"}\n";
    if (!is_missing(i)) said += annotation(id, "x", "p", size(i) / 96.0);
  }
  folder_.write("p.jsonl", many);
  folder_.write("a.jsonl", said);
  EXPECT_THAT(schedule().err, HasSubstr("343 of 2400 pairs have too few annotations for a gap, "
                                        "starting with p3"));
  const auto outcome = schedule("--missing drop --join j.jsonl");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("extra length of the chosen response +1.00"));
  const auto file = io::read_schedule(folder_ / "s.jsonl");
  ASSERT_EQ(file.schedule.size(), 2057u);
  std::size_t place = 0;
  for (int i = 0; i < n; ++i) {
    if (is_missing(i)) continue;
    const auto& entry = file.schedule.entries()[place++];
    ASSERT_EQ(entry.id, "p" + std::to_string(i));
    ASSERT_NEAR(entry.beta, 0.03 + 0.27 * size(i) / 96, 1e-6);
  }
  EXPECT_EQ(std::ranges::count(slurp(folder_ / "j.jsonl"), '\n'), 2057);
}

TEST_F(ScheduleCommand, MakesABetaForEveryPair) {
  const auto outcome = schedule();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NEAR(beta("a"), 0.3, 1e-15);
  EXPECT_NEAR(beta("b"), 0.165, 1e-15);
  EXPECT_NEAR(beta("c"), 0.03, 1e-15);
  EXPECT_THAT(outcome.out, HasSubstr("3 pairs, 4 annotations\n"));
  EXPECT_THAT(outcome.out, HasSubstr("  x  3  0\n  y  0  1\n"));
  EXPECT_THAT(outcome.out, HasSubstr("1 low, 0 high"));
  EXPECT_THAT(outcome.out, HasSubstr("Warning (clipped)"));

  const auto manifest = io::read_schedule(folder_ / "s.jsonl").manifest.value();
  ASSERT_EQ(manifest.inputs.size(), 2u);
  EXPECT_EQ(manifest.inputs[0].path, "p.jsonl");
  EXPECT_EQ(manifest.inputs[1].rows, 4);
  EXPECT_EQ(manifest.counts, (io::ScheduleCounts{3, 4, 0, 1, 0}));
}

TEST_F(ScheduleCommand, GivesTheSameBytesForTheSameInputs) {
  ASSERT_EQ(schedule().status, 0);
  const auto first = slurp(folder_ / "s.jsonl");
  ASSERT_EQ(schedule().status, 0);
  EXPECT_EQ(slurp(folder_ / "s.jsonl"), first);
  EXPECT_FALSE(first.empty());
}

TEST_F(ScheduleCommand, AcceptsAnEnvelopeAndARangeOfNegativeGaps) {
  ASSERT_EQ(schedule("--envelope 0.1,0.5 --gap-range -1,1").status, 0);
  EXPECT_NEAR(beta("a"), 0.5, 1e-15);
  EXPECT_NEAR(beta("b"), 0.4, 1e-15);
  EXPECT_NEAR(beta("c"), 0.1, 1e-15);
}

TEST_F(ScheduleCommand, WritesTheManifestToItsOwnFile) {
  ASSERT_EQ(schedule("--manifest m.json").status, 0);
  EXPECT_THAT(slurp(folder_ / "m.json"), HasSubstr("sp2dpo.schedule"));
  EXPECT_THAT(slurp(folder_ / "s.jsonl"), Not(HasSubstr("sp2dpo.schedule")));
}

TEST_F(ScheduleCommand, WarnsOfAnAnnotatorWhoseAnnotationsMixPromptVersions) {
  EXPECT_THAT(schedule().err, Not(HasSubstr("prompt versions")));
  folder_.write("a.jsonl",
                annotations() + annotation("a", "y", "q", 1, R"(,"meta":{"prompt_version":2})"));
  EXPECT_THAT(schedule().err, HasSubstr("the annotations of y mix prompt versions: 1 of version 1, "
                                        "1 of version 2\n"));
}

TEST_F(ScheduleCommand, ReadsGzipAndSeveralFilesOfAnnotations) {
  folder_.write("p.jsonl.gz", test::gzip(pairs));
  folder_.write("b.jsonl", annotation("c", "y", "p", 1));
  const auto outcome =
      run(folder_,
          "schedule --pairs p.jsonl.gz --annotations a.jsonl --annotations b.jsonl --out s.jsonl");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(io::read_schedule(folder_ / "s.jsonl").manifest.value().inputs.size(), 3u);
  EXPECT_NEAR(beta("c"), 0.03, 1e-15);  // the mean of -1 and 1 is 0
}

TEST_F(ScheduleCommand, SuggestsWhatToDoAboutPairsWithoutAGap) {
  folder_.write("a.jsonl", annotation("a", "x", "p", 1));
  const auto refused = schedule();
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err,
              HasSubstr("2 of 3 pairs have too few annotations for a gap, starting with b"));
  EXPECT_THAT(refused.err, HasSubstr("--missing drop"));
  EXPECT_FALSE(written());

  const auto dropped = schedule("--missing drop");
  EXPECT_EQ(dropped.status, 0) << dropped.err;
  EXPECT_THAT(dropped.out, HasSubstr("2 pairs without a gap, left out"));
  EXPECT_EQ(io::read_schedule(folder_ / "s.jsonl").schedule.size(), 1u);

  const auto filled = schedule("--missing base-beta=0.1");
  EXPECT_EQ(filled.status, 0) << filled.err;
  EXPECT_THAT(filled.out, HasSubstr("2 pairs without a gap, given beta 0.1"));
  EXPECT_EQ(beta("c"), 0.1);
  EXPECT_EQ(io::read_schedule(folder_ / "s.jsonl").manifest.value().counts.missing, 2);
}

TEST_F(ScheduleCommand, RequiresTheGivenNumberOfAnnotatorsAndPrompts) {
  EXPECT_EQ(schedule("--min-annotators 2 --missing drop").status, 0);
  const auto file = io::read_schedule(folder_ / "s.jsonl");
  ASSERT_EQ(file.schedule.size(), 1u);
  EXPECT_EQ(file.schedule.entries()[0].id, "b");
  EXPECT_EQ(schedule("--min-prompts 2 --missing drop").status, 1);
}

TEST_F(ScheduleCommand, ExitsWithOneForBadData) {
  struct Case {
    const char *file, *text, *message;
  };
  for (const auto& [file, text, message] :
       {Case{"p.jsonl", "", "p.jsonl: no rows"}, Case{"p.jsonl", "{\n", "p.jsonl:1: not a JSON"},
        Case{"p.jsonl", "{\"id\":\"a\"}\n", "p.jsonl:1: field \"chosen\": is missing"},
        Case{"a.jsonl", "{}\n", "a.jsonl:1: field \"pair_id\": is missing"},
        Case{"a.jsonl", "", "a.jsonl: no rows"}}) {
    folder_.write("p.jsonl", pairs);
    folder_.write("a.jsonl", annotations());
    folder_.write(file, text);
    const auto outcome = schedule();
    EXPECT_EQ(outcome.status, 1) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(written());
  }
}

TEST_F(ScheduleCommand, NamesTheLineOfAnUnknownPairAndOfADuplicate) {
  folder_.write("a.jsonl", annotations() + annotation("z", "x", "p", 1));
  EXPECT_THAT(schedule().err,
              HasSubstr("a.jsonl:5: field \"pair_id\": annotation for the unknown pair z"));
  folder_.write("a.jsonl", annotations() + annotation("a", "x", "p", 1));
  EXPECT_THAT(schedule().err, HasSubstr("a.jsonl:5: pair a has two annotations by x"));
}

TEST_F(ScheduleCommand, ListsWhatLenientLeavesOut) {
  folder_.write("p.jsonl", "oops\n" + std::string(pairs));
  folder_.write("a.jsonl", annotations() + annotation("z", "x", "p", 1) + "{}\n");
  EXPECT_EQ(schedule().status, 1);
  const auto outcome = schedule("--lenient");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("p.jsonl: 1 row left out:\n  p.jsonl:1: not a JSON object"));
  EXPECT_THAT(outcome.err, HasSubstr("a.jsonl: 2 rows left out:\n  a.jsonl:5: field \"pair_id\""));
  EXPECT_THAT(outcome.err, HasSubstr("  a.jsonl:6: field \"pair_id\": is missing"));
  EXPECT_EQ(io::read_schedule(folder_ / "s.jsonl").schedule.size(), 3u);
}

TEST_F(ScheduleCommand, TakesTheIdColumnAndKeepsTheFirstOfDuplicateIds) {
  folder_.write("p.jsonl", R"({"key":"a","prompt":"p","chosen":"c","rejected":"r"}
{"key":"b","prompt":"p","chosen":"c","rejected":"r"}
{"key":"a","prompt":"p","chosen":"c","rejected":"r"}
{"key":"c","prompt":"p","chosen":"c","rejected":"r"}
)");
  EXPECT_THAT(schedule("--id-field key").err,
              HasSubstr("p.jsonl:3: field \"key\": duplicate id a, first in line 1"));
  const auto outcome = schedule("--id-field key --duplicates first");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("skipped 1 row with a duplicate id"));
}

TEST_F(ScheduleCommand, SaysHowToReadParquetIfBuiltWithoutIt) {
  const auto outcome =
      run(folder_, "schedule --pairs p.parquet --annotations a.jsonl --out s.jsonl");
  EXPECT_EQ(outcome.status, SP2DPO_HAS_PARQUET ? 1 : 2);
  EXPECT_THAT(outcome.err, HasSubstr(SP2DPO_HAS_PARQUET ? "p.parquet: cannot be opened"
                                                        : "-DSP2DPO_WITH_PARQUET=ON"));
}

TEST_F(ScheduleCommand, ExitsWithTwoForInvalidOptions) {
  for (const auto option :
       {"--envelope 0.3", "--envelope 0,1", "--envelope 0.3,0.1", "--gap-range 1,1",
        "--gap-range a,b", "--missing never", "--missing base-beta=0", "--missing base-beta=nan",
        "--duplicates last", "--min-prompts 0", "--categories a,a", "--unknown"}) {
    const auto outcome = schedule(option);
    EXPECT_EQ(outcome.status, 2) << option;
    EXPECT_NE(outcome.err, "") << option;
    EXPECT_FALSE(written());
  }
  EXPECT_EQ(run(folder_, "").status, 2);
  EXPECT_EQ(run(folder_, "schedul").status, 2);
  EXPECT_EQ(run(folder_, "schedule --pairs p.jsonl").status, 2);
}

TEST_F(ScheduleCommand, NamesAnUnwritableOutput) {
  const auto outcome = schedule("--manifest no/where/m.json");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("no/where/m.json: cannot be written: No such file or directory"));
  EXPECT_FALSE(written());
}

TEST(Program, HelpsWithExamples) {
  const Folder folder;
  EXPECT_THAT(run(folder, "--version").out, HasSubstr("sp2dpo "));
  const auto all = run(folder, "--help");
  EXPECT_EQ(all.status, 0);
  for (const std::string command : {"schedule", "import-votes"}) {
    EXPECT_THAT(all.out, HasSubstr(command));
    const auto one = run(folder, command + " --help");
    EXPECT_EQ(one.status, 0);
    EXPECT_THAT(one.out, HasSubstr("Example"));
  }
}

constexpr std::string_view votes =
    "pair_id,llm,prompt_variant,swapped,winner\na,X,P,0,1\nb,X,P,0,1\n";
constexpr std::string_view labelled =
    R"({"id":"a","prompt":"p","chosen":"c","rejected":"r","meta":{"gold_label":1,)"
    R"("subset":"Natural"}}
{"id":"b","prompt":"p","chosen":"c","rejected":"r","meta":{"gold_label":2,"subset":"Natural"}}
)";

TEST(ImportVotesCommand, WritesAnnotationsThatScheduleReads) {
  const Folder folder;
  folder.write("p.jsonl", labelled);
  folder.write("v.csv", votes);
  const std::string import =
      "import-votes --pairs p.jsonl --votes v.csv --annotators X --prompts P --out a.jsonl ";
  for (const auto category :
       {"--category style", "--category-field meta.subset --category-map Natural=style"}) {
    const auto outcome = run(folder, import + category);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("2 annotations of 2 pairs"));
    EXPECT_EQ(slurp(folder / "a.jsonl"),
              R"({"annotator":"X","category":"style","confidence":1.0,"magnitude":1.0,)"
              R"("pair_id":"a","preferred":"chosen","prompt":"P","sample":0}
{"annotator":"X","category":"style","confidence":1.0,"magnitude":1.0,"pair_id":"b",)"
              R"("preferred":"rejected","prompt":"P","sample":0}
)");
  }
  const auto schedule =
      run(folder, "schedule --pairs p.jsonl --annotations a.jsonl --out s.jsonl --gap-range=-1,1");
  EXPECT_EQ(schedule.status, 0) << schedule.err;
}

TEST(ImportVotesCommand, ReportsErrorsAndLeavesNothing) {
  const Folder folder;
  folder.write("p.jsonl", labelled);
  folder.write("v.csv", votes);
  struct Case {
    const char* options;
    int status;
    const char* message;
  };
  for (const auto& [options, status, message] :
       {Case{"--annotators X --prompts P", 2, "--category"},
        Case{"--annotators X --prompts P --category tone", 2, "unknown category \"tone\""},
        Case{"--annotators X --prompts P --category style --category-field meta.subset", 2,
             "--category"},
        Case{"--annotators X --prompts P --category style --category-map a=style", 2,
             "--category-map"},
        Case{"--annotators X --prompts P --category-field meta.subset", 1,
             "--category-map VALUE=CATEGORY"},
        Case{"--annotators X,Y --prompts P --category style", 1,
             "unknown annotator \"Y\"; the file has: X"},
        Case{"--annotators X --prompts Q --category style", 1,
             "unknown prompt \"Q\"; the file has: P"}}) {
    const auto outcome = run(
        folder, std::string("import-votes --pairs p.jsonl --votes v.csv --out a.jsonl ") + options);
    EXPECT_EQ(outcome.status, status) << options;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << options;
    EXPECT_FALSE(std::filesystem::exists(folder / "a.jsonl")) << options;
  }
}

TEST(Program, GivesTheExpectedGapsOfARealPanel) {
  const test::RealPanel panel;
  if (panel.is_missing()) GTEST_SKIP() << "needs the data in SP2DPO_SHARED_DATA";
  const Folder folder;
  const auto import = run(folder, panel.import_command());
  ASSERT_EQ(import.status, 0) << import.err;
  const auto schedule = run(folder, "schedule --pairs '" + panel.pairs.string() +
                                        "' --annotations a.jsonl --out s.jsonl");
  ASSERT_EQ(schedule.status, 0) << schedule.err;
  EXPECT_THAT(schedule.out, HasSubstr("Warning (saturation-low)"));

  const auto made = io::read_schedule(folder / "s.jsonl");
  const auto expected = panel.expected_gaps();
  EXPECT_EQ(made.schedule.size(), expected.size());
  for (const auto& [id, gaps] : expected)
    EXPECT_NEAR(made.schedule.find(id)->gap.value().value, gaps.at("jmamp"), 1e-9) << id;
}

}  // namespace
}  // namespace sp2dpo::tool
