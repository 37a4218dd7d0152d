// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "files.hpp"
#include "program.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// Twelve pairs with even gaps, two annotators who agree but for one pair, p3.
class ReportCommand : public testing::Test {
 protected:
  ReportCommand() {
    std::string pairs, annotations;
    for (int i = 0; i < 12; ++i) {
      const auto id = "p" + std::to_string(i);
      pairs += R"({"id":")" + id + R"(","prompt":"Q)" + std::to_string(i) +
               R"(","chosen":"yes","rejected":"no","kept":1.50})" + "\n";
      for (const char* const annotator : {"x", "y"}) {
        const bool against = i == 3 && annotator[0] == 'y';
        annotations += R"({"pair_id":")" + id + R"(","annotator":")" + annotator +
                       R"(","prompt":"q","category":")" + (i % 2 == 0 ? "style" : "safety") +
                       R"(","magnitude":)" + std::to_string(i / 12.0) + R"(,"confidence":1)" +
                       (against ? R"(,"preferred":"rejected")" : "") + "}\n";
      }
    }
    folder_.write("p.jsonl", pairs);
    folder_.write("a.jsonl", annotations);
    const auto made = run(folder_, "schedule --pairs p.jsonl --annotations a.jsonl --out s.jsonl");
    EXPECT_EQ(made.status, 0) << made.err;
  }

  Outcome report(const std::string& more) {
    return run(folder_, "report --schedule s.jsonl " + more);
  }

  Folder folder_;
};

TEST_F(ReportCommand, TellsOfEveryCheckAndEndsWellWhereNoneFindsAnything) {
  const auto outcome = report("--pairs p.jsonl --annotations a.jsonl --check");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("PASS  guessing"));
  EXPECT_THAT(outcome.out, HasSubstr("PASS  length-bias"));
}

TEST_F(ReportCommand, SaysWhatItCannotCheck) {
  const auto outcome = report("");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("-     guessing            not checked"));
  EXPECT_THAT(outcome.out, HasSubstr("-     length-bias         not checked"));
}

TEST_F(ReportCommand, EndsWithAStatusOfItsOwnWhereACheckFindsSomethingAndItWasAskedFor) {
  folder_.write("s.jsonl", R"({"id":"p0","beta":0.1}
{"id":"p1","beta":0.1}
)");
  const auto asked = report("--check");
  EXPECT_EQ(asked.status, 5);
  EXPECT_THAT(asked.out, HasSubstr("WARN  no-spread"));
  EXPECT_THAT(asked.err, HasSubstr("checks found something"));
  EXPECT_EQ(report("").status, 0);
}

TEST_F(ReportCommand, ListsPairsByDisagreementWithTheirTexts) {
  const auto outcome = report(
      "--pairs p.jsonl --annotations a.jsonl --high-disagreement c.jsonl "
      "--high-disagreement-pairs 2");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto rows = slurp(folder_ / "c.jsonl");
  EXPECT_THAT(rows,
              StartsWith(R"({"annotations":[{"annotator":"x","category":"safety","gap":0.25)"));
  EXPECT_THAT(rows.substr(0, rows.find('\n')), HasSubstr(R"("chosen":"yes")"));
  EXPECT_THAT(rows.substr(0, rows.find('\n')), HasSubstr(R"("id":"p3","prompt":"Q3")"));
  // Of those that agree, the one with the smallest gap.
  EXPECT_THAT(rows.substr(rows.find('\n')), HasSubstr(R"("id":"p0")"));
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 2);
}

TEST_F(ReportCommand, AcceptsTheOldNamesOfTheDisagreementOptionsWithANotice) {
  const auto old_names =
      report("--pairs p.jsonl --annotations a.jsonl --contested old.jsonl --contested-pairs 2");
  ASSERT_EQ(old_names.status, 0) << old_names.err;
  EXPECT_THAT(old_names.err, HasSubstr("--contested is now called --high-disagreement"));
  ASSERT_EQ(report("--pairs p.jsonl --annotations a.jsonl --high-disagreement new.jsonl "
                   "--high-disagreement-pairs 2")
                .status,
            0);
  EXPECT_EQ(slurp(folder_ / "old.jsonl"), slurp(folder_ / "new.jsonl"));
}

TEST_F(ReportCommand, WritesPagePicturesCardAndCroissant) {
  const auto outcome = report(
      "--pairs p.jsonl --annotations a.jsonl --out r.html --svg pictures --card README.md "
      "--croissant c.json --name Mine --license CC0-1.0");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto page = slurp(folder_ / "r.html");
  EXPECT_THAT(page, HasSubstr("<h1>Mine</h1>"));
  EXPECT_THAT(page, HasSubstr("Krippendorff"));
  for (const char* const picture : {"beta_histogram.svg", "beta_ecdf.svg", "annotators.svg"})
    EXPECT_THAT(slurp(folder_ / "pictures" / picture), StartsWith("<svg")) << picture;
  const auto card = slurp(folder_ / "README.md");
  EXPECT_THAT(card, StartsWith("---\npretty_name: \"Mine\"\nlicense: \"CC0-1.0\"\n"));
  EXPECT_THAT(card, HasSubstr("size_categories:\n- n<1K\n"));
  EXPECT_THAT(card, HasSubstr("path: \"s.jsonl\""));
  const auto croissant = slurp(folder_ / "c.json");
  EXPECT_THAT(croissant, HasSubstr(R"("conformsTo":"http://mlcommons.org/croissant/1.0")"));
  EXPECT_THAT(croissant, HasSubstr(R"("rai:machineAnnotationTools":["x","y"])"));

  // The same inputs make the same bytes.
  ASSERT_EQ(report("--pairs p.jsonl --annotations a.jsonl --out r.html --name Mine").status, 0);
  EXPECT_EQ(slurp(folder_ / "r.html"), page);
}

TEST_F(ReportCommand, NamesAPairThatThePairsFileLacksAndAFileThatIsNotTheSchedulesOwn) {
  folder_.write("other.jsonl", R"({"id":"p0","prompt":"p","chosen":"c","rejected":"r"})"
                               "\n");
  const auto outcome = report("--pairs other.jsonl");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("lacks the pair p1"));
  EXPECT_THAT(outcome.err, HasSubstr("other.jsonl: its SHA-256 is not in the schedule's manifest"));
}

TEST_F(ReportCommand, ScheduleJoinsTheBetasToThePairsRows) {
  const auto outcome =
      run(folder_, "schedule --pairs p.jsonl --annotations a.jsonl --out s.jsonl --join j.jsonl");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto rows = slurp(folder_ / "j.jsonl");
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 12);
  EXPECT_THAT(rows, StartsWith(R"({"id":"p0","prompt":"Q0","chosen":"yes","rejected":"no",)"
                               R"("kept":1.50,"beta":0.03,"sp2dpo":{"category":"style",)"
                               R"("gap":0.0,"schedule":"s.jsonl"}})"));
}

TEST_F(ReportCommand, ScheduleDoesNotMixItsTablesIntoAScheduleOnStdout) {
  const auto outcome =
      run(folder_, "schedule --pairs p.jsonl --annotations a.jsonl --out /dev/stdout");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, slurp(folder_ / "s.jsonl"));
  EXPECT_THAT(outcome.err, HasSubstr("Pairs by beta"));
}

}  // namespace
}  // namespace sp2dpo::tool
