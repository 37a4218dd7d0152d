// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "program.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/csv.hpp>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;

/// A figure of each model in the program's JSON.
std::map<std::string, double> figures(const std::string& json, const std::string& key) {
  std::map<std::string, double> result;
  const std::string mark = "\"model\":\"";
  for (std::size_t begin = json.find('{'); begin != std::string::npos;
       begin = json.find('{', begin + 1)) {
    const std::size_t name = json.find(mark, begin) + mark.size();
    const std::size_t value = json.find('"' + key + "\":", begin) + key.size() + 3;
    result[json.substr(name, json.find('"', name) - name)] =
        std::strtod(json.c_str() + value, nullptr);
  }
  return result;
}

class PublishedWinRates : public testing::Test {
 protected:
  void SetUp() override {
    if (test::shared_data("alpacaeval_lc/per_example.csv").empty())
      GTEST_SKIP() << "needs the AlpacaEval data in SP2DPO_SHARED_DATA";
  }

  static std::string file(const std::string& name) {
    return test::shared_data("alpacaeval_lc/" + name).string();
  }

  /// Compares with the published figures of all models but NullModel, whose table and weights
  /// differ.
  void expect_published(const std::string& c, double tolerance) {
    const auto outcome =
        run(folder_, "winrate --preferences '" + file("per_example.csv") + "' --difficulty '" +
                         file("instruction_difficulty.csv") + "' --gamed '" +
                         file("gamed_rows.csv") + "' --json o.json " + c);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const auto json = slurp(folder_ / "o.json");
    EXPECT_THAT(json, HasSubstr("\"AlpacaEval 2 LC\""));
    const auto raw = figures(json, "win_rate"), controlled = figures(json, "lc_win_rate");
    io::CsvReader rows(file("expected.csv"));
    const auto model = rows.column("model"), raw_column = rows.column("raw_published"),
               controlled_column = rows.column("lc_published");
    int compared = 0;
    while (rows.next()) {
      EXPECT_NEAR(raw.at(rows.cell(model)), rows.number(raw_column).value(), 1e-8);
      if (rows.cell(model) == "NullModel") continue;
      EXPECT_NEAR(controlled.at(rows.cell(model)), rows.number(controlled_column).value(),
                  tolerance)
          << rows.cell(model);
      ++compared;
    }
    EXPECT_GE(compared, 29);
  }

  Folder folder_;
};

TEST_F(PublishedWinRates, AreReproducedWithEachModelsC) {
  expect_published("--c '" + file("expected.csv") + ":C_inferred'", 0.012);
}

TEST_F(PublishedWinRates, AreCloseWithOneC) {
  expect_published("", 0.12);
}

class WinrateCommand : public testing::Test {
 protected:
  Outcome winrate(const std::string& rows, const std::string& more = "") {
    folder_.write("p.csv", "model,index,len_baseline,len_model,preference\n" + rows);
    return run(folder_, "winrate --preferences p.csv --json o.json " + more);
  }

  Folder folder_;
};

TEST_F(WinrateCommand, CountsADrawAsHalfAndSkipsABlank) {
  const auto outcome = winrate("m,0,10,20,2\nm,1,20,10,0\nm,2,10,10,\n", "--judge me");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto json = slurp(folder_ / "o.json");
  EXPECT_EQ(figures(json, "win_rate").at("m"), 75);
  EXPECT_EQ(figures(json, "n").at("m"), 2);
  EXPECT_THAT(json, HasSubstr(R"("label":"LC-style")"));
  EXPECT_THAT(json, HasSubstr(R"("variant":"length_controlled_minimal")"));
}

TEST_F(WinrateCommand, NamesTheMismatch) {
  EXPECT_THAT(winrate("m,0,1,2,2.5\n").err,
              HasSubstr("p.csv:2: field \"preference\": expected a number in"));
  EXPECT_THAT(winrate("m,0,1,2,1\nm,0,1,2,1\n").err, HasSubstr("duplicate row of m"));
  const auto outcome = winrate("m,0,1,2,1\nm,7,1,2,1\nk,0,1,2,1\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("m has the instruction 7, which k lacks"));
  folder_.write("d.csv", "index,difficulty\n0,0.5\n");
  EXPECT_THAT(winrate("m,3,1,2,1\n", "--difficulty d.csv").err,
              HasSubstr("missing difficulty of instruction 3"));
  EXPECT_EQ(winrate("m,0,1,2,1\n", "--c -1").status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "o.json"));
}

class OfficialLayout : public testing::Test {
 protected:
  /// A row of AlpacaEval's annotations.json.
  static std::string row(const std::string& instruction, const std::string& model,
                         const std::string& baseline_answer, const std::string& answer,
                         const std::string& preference, const std::string& judge = "me") {
    return R"({"instruction":")" + instruction + R"(","output_1":")" + baseline_answer +
           R"(","generator_1":"base","dataset":"d","output_2":")" + answer +
           R"(","generator_2":")" + model + R"(","annotator":")" + judge +
           R"(","price_per_example":0.1,"preference":)" + preference + "}";
  }
  Outcome winrate(const std::string& rows, const std::string& more = "") {
    folder_.write("a.json", "[" + rows + "]\n");
    return run(folder_, "winrate --alpaca-eval a.json --json o.json " + more);
  }

  Folder folder_;
};

TEST_F(OfficialLayout, GivesTheSameFiguresAsATable) {
  const auto official = winrate(
      row("How?", "m", "ab", "äöü", "1.25") + ",\n" + row("Why?", "m", "abcd", "a", "2.0") + "," +
      row("Who?", "m", "a", "abcdefg", "0") + "," + row("Where?", "m", "a", "a", "null"));
  ASSERT_EQ(official.status, 0) << official.err;
  const auto json = slurp(folder_ / "o.json");
  folder_.write("p.csv",
                "model,index,len_baseline,len_model,preference\n"
                "m,0,2,3,1.25\nm,1,4,1,2\nm,2,1,7,0\nm,3,1,1,\n");
  ASSERT_EQ(run(folder_, "winrate --preferences p.csv --judge me --json p.json").status, 0);
  const auto table = slurp(folder_ / "p.json");
  for (const char* figure : {"n", "win_rate", "standard_error", "lc_win_rate"})
    EXPECT_NEAR(figures(json, figure).at("m"), figures(table, figure).at("m"), 1e-9) << figure;
  EXPECT_EQ(figures(json, "n").at("m"), 3);
  EXPECT_THAT(json, HasSubstr(R"("label":"LC-style")"));
  EXPECT_THAT(official.out, HasSubstr("judge me"));
}

TEST_F(OfficialLayout, JoinsDifficultiesByTheInstructionsHash) {
  // printf 'How?' | sha256sum
  folder_.write("d.csv",
                "instruction_sha256_16,difficulty\n0ea5977074d19b32,0.5\n0000000000000000,1\n");
  const auto outcome = winrate(row("How?", "m", "ab", "c", "1.25"), "--difficulty d.csv --c 1000");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("d.csv: 1 instruction missing from a.json: 0000000000000000"));
  EXPECT_THAT(winrate(row("Why?", "m", "ab", "c", "1.25"), "--difficulty d.csv").err,
              HasSubstr("missing difficulty of \"Why?\" (hash "));
}

TEST_F(OfficialLayout, NamesTheMismatch) {
  EXPECT_THAT(winrate(row("How?", "m", "a", "b", "1") + "," + row("Why?", "m", "a", "b", "1") +
                      "," + row("How?", "k", "a", "b", "1"))
                  .err,
              HasSubstr("m has the instruction \"Why?\", which k lacks"));
  EXPECT_THAT(winrate(row("How?", "m", "a", "b", "1") + "," + row("How?", "m", "a", "b", "1")).err,
              HasSubstr("duplicate record of m for \"How?\""));
  EXPECT_THAT(winrate(row("How?", "m", "a", "b", "2.5")).err,
              HasSubstr("a.json: field \"[0].preference\""));
  EXPECT_THAT(winrate(row("How?", "m", "a", "b", "0.5")).err, HasSubstr("or 0 for a draw"));
  EXPECT_THAT(
      winrate(row("How?", "m", "a", "b", "1") + "," + row("Why?", "m", "a", "b", "1", "another"))
          .err,
      HasSubstr("field \"annotator\": \"another\" for \"Why?\", but \"me\" before"));
  EXPECT_THAT(winrate(row("How?", "m", "a", "b", "1"), "--judge another").err,
              HasSubstr("the judge is me, not another"));
  EXPECT_THAT(winrate("").err, HasSubstr("empty list"));
  EXPECT_THAT(winrate("{\"instruction\":\"x\"}").err, HasSubstr("\"[0].output_1\": is missing"));
  EXPECT_THAT(winrate("{").err, HasSubstr("is not JSON"));
  EXPECT_EQ(run(folder_, "winrate").status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "o.json"));
}

}  // namespace
}  // namespace sp2dpo::tool
