// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>

#include "program.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/csv.hpp>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;

/// A figure of every model in the program's JSON.
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
      GTEST_SKIP() << "no AlpacaEval data in " SP2DPO_SHARED_DATA;
  }

  static std::string file(const std::string& name) {
    return test::shared_data("alpacaeval_lc/" + name).string();
  }

  /// Compares with what was published of every model but NullModel, whose table and weights differ.
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

TEST_F(PublishedWinRates, FollowFromEachModelsC) {
  expect_published("--c '" + file("expected.csv") + ":C_inferred'", 0.012);
}

TEST_F(PublishedWinRates, AreNearWithOneC) {
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

TEST_F(WinrateCommand, CountsADrawAsHalfAndABlankAsNothing) {
  const auto outcome = winrate("m,0,10,20,2\nm,1,20,10,0\nm,2,10,10,\n", "--judge me");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto json = slurp(folder_ / "o.json");
  EXPECT_EQ(figures(json, "win_rate").at("m"), 75);
  EXPECT_EQ(figures(json, "n").at("m"), 2);
  EXPECT_THAT(json, HasSubstr(R"("label":"LC-style")"));
  EXPECT_THAT(json, HasSubstr(R"("variant":"length_controlled_minimal")"));
}

TEST_F(WinrateCommand, NamesWhatDoesNotFit) {
  EXPECT_THAT(winrate("m,0,1,2,2.5\n").err,
              HasSubstr("p.csv:2: field \"preference\": must lie in"));
  EXPECT_THAT(winrate("m,0,1,2,1\nm,0,1,2,1\n").err, HasSubstr("a second row of m"));
  const auto outcome = winrate("m,0,1,2,1\nm,7,1,2,1\nk,0,1,2,1\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("m has the instruction 7, and k has not"));
  folder_.write("d.csv", "index,difficulty\n0,0.5\n");
  EXPECT_THAT(winrate("m,3,1,2,1\n", "--difficulty d.csv").err,
              HasSubstr("the instruction 3 has no difficulty"));
  EXPECT_EQ(winrate("m,0,1,2,1\n", "--c -1").status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "o.json"));
}

}  // namespace
}  // namespace sp2dpo::tool
