// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "../tool/program.hpp"
#include "files.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sp2dpo/io/annotations.hpp>

// `sp2dpo import-scores` on rows such as UltraFeedback's.
namespace sp2dpo::tool {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* row =
    R"({"prompt_id":"%","prompt":"Name a prime.","chosen":[{"role":"user","content":"Name a )"
    R"(prime."},{"role":"assistant","content":"7"}],"rejected":[{"role":"user","content":"Name a )"
    R"(prime."},{"role":"assistant","content":"%, I think"}],)";

/// One line with this id and these further fields.
std::string line(const std::string& id, const std::string& fields) {
  std::string text = row;
  for (int i = 0; i < 2; ++i) text.replace(text.find('%'), 1, id);
  return text + fields + "}\n";
}

std::string scored(const std::string& id, const std::string& chosen, const std::string& rejected) {
  return line(id, "\"score_chosen\":" + chosen + ",\"score_rejected\":" + rejected);
}

class ImportScores : public testing::Test {
 protected:
  [[nodiscard]] Outcome import(const std::string& more) const {
    return run(folder, "import-scores --pairs p.jsonl --id-field prompt_id --out a.jsonl " + more);
  }
  [[nodiscard]] std::vector<Annotation> annotations() const {
    return io::read_annotations(folder / "a.jsonl");
  }

  Folder folder;
};

TEST_F(ImportScores, TheDifferenceOverTheScaleIsTheMagnitude) {
  folder.write("p.jsonl", scored("a", "8.5", "4.0") + scored("b", "3", "7.5") +
                              scored("c", "6", "6") + scored("d", "null", "5"));
  const auto ran = import("--scale 1,10 --category helpfulness");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto found = annotations();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].pair_id, "a");
  EXPECT_EQ(found[0].magnitude, 0.5);
  EXPECT_EQ(found[0].preferred, Preferred::chosen);
  EXPECT_EQ(found[0].annotator, "scores");
  EXPECT_EQ(found[0].prompt, "import");
  EXPECT_EQ(Categories().name(found[0].category), "helpfulness");
  EXPECT_EQ(found[1].magnitude, 0.5);
  EXPECT_EQ(found[1].preferred, Preferred::rejected);
  EXPECT_EQ(found[2].magnitude, 0);
  EXPECT_EQ(found[2].preferred, Preferred::tie);
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("3 annotations of 4 pairs by scores: 1 prefer the chosen response, 1 "
                              "the rejected one, 1 are ties"),
                    HasSubstr("score_chosen against score_rejected, on a scale from 1 to 10: "
                              "magnitude = |difference| / 9"),
                    HasSubstr("1 pairs lack a score")));

  const auto made = run(folder,
                        "schedule --pairs p.jsonl --id-field prompt_id --annotations a.jsonl "
                        "--missing drop --out s.jsonl");
  EXPECT_EQ(made.status, 0) << made.err;
}

TEST_F(ImportScores, TakesAnyColumnsNamesAndTies) {
  folder.write("p.jsonl", line("a", R"("good":0.9,"bad":0.85)") + line("b", R"("good":1,"bad":0)"));
  const auto ran = import(
      "--chosen good --rejected bad --scale 0,1 --max-tie 0.1 --category style --annotator reward "
      "--prompt model --confidence 0.5");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto found = annotations();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].preferred, Preferred::tie);
  EXPECT_EQ(found[1].magnitude, 1);
  EXPECT_EQ(found[1].confidence, 0.5);
  EXPECT_EQ(found[1].annotator, "reward");
  EXPECT_EQ(found[1].prompt, "model");
}

TEST_F(ImportScores, ABadRowIsNamedByFileLineAndField) {
  const auto refusal = [&](const std::string& bad) {
    folder.write("p.jsonl", scored("a", "8", "4") + bad);
    const auto ran = import("--scale 1,10 --category style");
    EXPECT_EQ(ran.status, 1);
    EXPECT_FALSE(std::filesystem::exists(folder / "a.jsonl"));
    return ran.err;
  };
  EXPECT_THAT(refusal(scored("b", "\"8\"", "4")),
              HasSubstr("p.jsonl:2: field \"score_chosen\": expected a number, got \"8\""));
  EXPECT_THAT(
      refusal(scored("b", "8", "11")),
      HasSubstr("p.jsonl:2: field \"score_rejected\": expected a score in [1, 10], got 11"));
  EXPECT_THAT(refusal(line("b", R"("score_chosen":3)")),
              HasSubstr("p.jsonl:2: field \"score_rejected\": is missing"));
}

TEST_F(ImportScores, LenientListsBadRowsAndKeepsTheRest) {
  folder.write("p.jsonl", scored("a", "8", "4") + scored("b", "true", "4") + "{\n" +
                              scored("c", "0.5", "4") + scored("d", "2", "4"));
  const auto ran = import("--scale 1,10 --category style --lenient");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(annotations().size(), 2U);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("p.jsonl: 3 rows left out"), HasSubstr("p.jsonl:2: field"),
                    HasSubstr("p.jsonl:3:"), HasSubstr("p.jsonl:4: field \"score_chosen\"")));
  EXPECT_THAT(ran.out, HasSubstr("2 annotations of 2 pairs"));

  folder.write("p.jsonl", scored("a", "x", "4"));
  EXPECT_EQ(import("--scale 1,10 --category style --lenient").status, 1);
}

TEST_F(ImportScores, RatingsPerAspectMakeOneVerdict) {
  const std::string chosen =
      R"("ratings_chosen":{"helpfulness":{"Rating":"5"},"honesty":{"Rating":"N/A"},)"
      R"("instruction_following":{"Rating":"4"},"truthfulness":{"Rating":"3"}},)";
  const std::string rejected =
      R"("ratings_rejected":{"helpfulness":{"Rating":"3"},"honesty":{"Rating":"3"},)"
      R"("instruction_following":{"Rating":"4"},"truthfulness":{"Rating":"2"}})";
  folder.write("p.jsonl", line("a", chosen + rejected));
  ASSERT_EQ(import("--ratings --scale 1,5").status, 0);
  auto found = annotations();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].magnitude, 0.25);  // mean of 0.5, 0 and 0.25
  EXPECT_EQ(found[0].confidence, 1);
  EXPECT_EQ(Categories().name(found[0].category), "helpfulness");

  ASSERT_EQ(import("--ratings --scale 1,5 --aspects truthfulness=factuality").status, 0);
  found = annotations();
  EXPECT_EQ(found[0].magnitude, 0.25);
  EXPECT_EQ(Categories().name(found[0].category), "factuality");

  const auto refused = import("--ratings --scale 1,4");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err,
              HasSubstr("p.jsonl:1: field \"ratings_chosen.helpfulness\": expected a rating in "
                        "[1, 4], got 5"));
}

TEST_F(ImportScores, OptionsThatContradictEachOtherAreRefused) {
  folder.write("p.jsonl", scored("a", "8", "4"));
  const auto refused = [&](const std::string& more) {
    const auto ran = import(more);
    EXPECT_EQ(ran.status, 2) << more;
    return ran.err;
  };
  EXPECT_THAT(refused("--category style"), HasSubstr("--scale"));
  EXPECT_THAT(refused("--scale 10,1 --category style"), HasSubstr("LOW below HIGH"));
  EXPECT_THAT(refused("--scale 1,10"), HasSubstr("--category is required"));
  EXPECT_THAT(refused("--scale 1,10 --category fluency"), HasSubstr("unknown category"));
  EXPECT_THAT(refused("--scale 1,10 --category style --confidence 2"), HasSubstr("confidence"));
  EXPECT_THAT(refused("--scale 1,10 --category style --max-tie 9"), HasSubstr("max_tie"));
  EXPECT_THAT(refused("--scale 1,10 --category style --aspects a=style"), HasSubstr("--aspects"));
  EXPECT_THAT(refused("--scale 1,10 --category style --ratings"), HasSubstr("--category"));
  EXPECT_THAT(refused("--scale 1,10 --ratings --aspects honesty"), HasSubstr("ASPECT=CATEGORY"));
}

}  // namespace
}  // namespace sp2dpo::tool
