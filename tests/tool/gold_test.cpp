// SPDX-License-Identifier: Apache-2.0
// Gold labels: `sp2dpo schedule --gold` and `sp2dpo compare`.
#include <cmath>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "program.hpp"
#include "real_panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;

/// Forty pairs. x gives the even ones 0.3 and is right in half of them; it gives the odd ones 0.9
/// and is always right. y says the opposite of x at half the magnitude.
class GoldLabels : public testing::Test {
 protected:
  GoldLabels() {
    std::string pairs, annotations, gold = "pair_id,preferred\n";
    for (int i = 0; i < 40; ++i) {
      const std::string id = "p" + std::to_string(i);
      const bool sure = i % 2 == 1, right = sure || i % 4 == 0;
      pairs += R"({"id":")" + id + R"(","prompt":"p","chosen":"c","rejected":"r"})" + "\n";
      annotations += said(id, "x", sure ? "0.9" : "0.3", "chosen") +
                     said(id, "y", sure ? "0.45" : "0.15", "rejected");
      gold += id + (right ? ",chosen\n" : ",rejected\n");
    }
    folder_.write("p.jsonl", pairs);
    folder_.write("a.jsonl", annotations);
    folder_.write("g.csv", gold);
  }

  static std::string said(const std::string& pair, std::string_view annotator,
                          std::string_view magnitude, std::string_view preferred) {
    std::string row = R"({"pair_id":")" + pair + R"(","annotator":")";
    row += annotator;
    row += R"(","prompt":"p","category":"style","confidence":1,"magnitude":)";
    row += magnitude;
    row += R"(,"preferred":")";
    row += preferred;
    return row + "\"}\n";
  }

  Outcome schedule(const std::string& options) {
    return run(folder_, "schedule --pairs p.jsonl --annotations a.jsonl --out s.jsonl " + options);
  }
  Outcome compare(const std::string& options) {
    return run(
        folder_,
        "compare --pairs p.jsonl --annotations a.jsonl --gold g.csv --json c.json " + options);
  }

  Folder folder_;
};

TEST_F(GoldLabels, CalibrateAGapToTheShareOfCorrectOnes) {
  const auto outcome = schedule("--gold g.csv --reliability r.svg --aggregator single:annotator=x");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Calibrated (isotonic) on 40 gold labels: ECE "));
  const auto file = io::read_schedule(folder_ / "s.jsonl");
  // Half right means a gap of 0, all right a gap of 1.
  EXPECT_NEAR(file.schedule.find("p0")->gap->value, 0, 1e-12);
  EXPECT_NEAR(file.schedule.find("p1")->gap->value, 1, 1e-12);
  const auto& aggregator = file.manifest->aggregator;
  EXPECT_EQ(aggregator.name, "calibrated");
  EXPECT_EQ(aggregator.parameters.at("n"), io::Json(40));
  // 0.3 and 0.9 stand for probabilities of 0.65 and 0.95 and are right in shares of 0.5 and 1.
  EXPECT_THAT(aggregator.parameters.at("before").text(),
              HasSubstr(R"("n":20,"right":0.5,"stated":0.65)"));
  EXPECT_THAT(aggregator.parameters.at("before").text(), HasSubstr(R"("ece":0.1)"));
  EXPECT_EQ(file.manifest->inputs.back().role, "gold");
  EXPECT_EQ(file.manifest->inputs.back().rows, 40);
  EXPECT_THAT(slurp(folder_ / "r.svg"), HasSubstr("isotonic"));
  // An annotator that is always wrong when it is loud is inverted by calibration.
  ASSERT_EQ(schedule("--gold g.csv --calibration platt --aggregator single:annotator=y").status, 0);
  EXPECT_GT(io::read_schedule(folder_ / "s.jsonl").schedule.find("p1")->gap->value, 0.5);
}

TEST_F(GoldLabels, AreRefusedIfUnusable) {
  for (const auto& [rows, message] :
       {std::pair{"", "g.csv: no gold labels"},
        {"zz,chosen\n", "g.csv:2: field \"pair_id\": unknown pair zz"},
        {"p1,chosen\np1,chosen\n", "g.csv:3: field \"pair_id\": duplicate pair p1"},
        {"p1,better\n", "g.csv:2: field \"preferred\": expected chosen, rejected or tie, not"},
        {"p1,chosen\n", "at least 10 gold labels with a gap, got 1"}}) {
    folder_.write("g.csv", std::string("pair_id,preferred\n") + rows);
    const auto outcome = schedule("--gold g.csv");
    EXPECT_EQ(outcome.status, 1) << rows;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << rows;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "s.jsonl")) << rows;
  }
  folder_.write("g.csv", "pair_id\np1\n");
  EXPECT_THAT(schedule("--gold g.csv").err, HasSubstr("missing column"));
  folder_.write("g.csv", "pair_id,preferred\np1,tie\n");
  EXPECT_THAT(compare("").err, HasSubstr("holds only ties"));
}

TEST_F(GoldLabels, ScoreAggregators) {
  const auto outcome =
      compare("--aggregator jmamp --aggregator single:annotator=y --aggregator order-consensus");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = slurp(folder_ / "c.json");
  // x is louder and right in 30 of 40 pairs; y is right in the other 10.
  EXPECT_THAT(json, HasSubstr(R"("n":40,"reason":null,"value":0.75},"aggregator":"jmamp")"));
  EXPECT_THAT(json, HasSubstr(R"("n":40,"reason":null,"value":0.25},"aggregator":"single:)"));
  EXPECT_THAT(json, HasSubstr(R"("n":40,"reason":null,"value":-0.5},"ties":0)"));
  EXPECT_THAT(json, HasSubstr(R"("ties":0,"without_gap":40})"));
  EXPECT_THAT(outcome.out, HasSubstr("-50.0"));
  EXPECT_EQ(outcome.out, compare("--aggregator jmamp --aggregator single:annotator=y "
                                 "--aggregator order-consensus")
                             .out);
  EXPECT_EQ(compare("--aggregator mode").status, 2);
}

TEST_F(GoldLabels, ScoreEveryAggregatorByDefault) {
  const auto outcome = compare("--replicates 0");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = slurp(folder_ / "c.json");
  for (const char* name : {"jmamp", "mean-median", "reliability", "single:annotator=y"})
    EXPECT_THAT(json, HasSubstr("\"aggregator\":\"" + std::string(name) + '"'));
  // y contradicts x, so neither correlates with the others: a reason instead of a figure.
  EXPECT_THAT(json, HasSubstr(R"("reason":"no annotator agrees with the others)"));
}

TEST(RealPanel, AblationHasTheIndependentlyComputedAccuracies) {
  const test::RealPanel panel;
  if (panel.is_missing()) GTEST_SKIP() << "needs the data in SP2DPO_SHARED_DATA";
  const Folder folder;
  ASSERT_EQ(run(folder, panel.import_command()).status, 0);
  std::string gold = "pair_id,preferred\n";
  for (const auto& [id, _] : panel.expected_gaps()) gold += id + ",chosen\n";
  folder.write("g.csv", gold);
  const auto outcome = run(folder, "compare --pairs '" + panel.pairs.string() +
                                       "' --annotations a.jsonl --gold g.csv --json c.json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = slurp(folder / "c.json");
  const auto accuracy = [&](const std::string& name) {
    const auto at = json.rfind("\"value\":", json.find("\"aggregator\":\"" + name + '"'));
    return std::stod(json.substr(at + 8));
  };
  EXPECT_NEAR(accuracy("jmamp"), 0.760, 5e-4);
  EXPECT_NEAR(accuracy("mean-mean"), 0.753, 5e-4);
  EXPECT_NEAR(accuracy("mean-median"), 0.722, 5e-4);
  EXPECT_NEAR(accuracy("pooled-median"), 0.702, 5e-4);
  EXPECT_NEAR(accuracy("median-median"), 0.700, 6e-4);
}

TEST_F(GoldLabels, ScoreAggregatorsWithoutBadAnnotationsWhichAreListed) {
  folder_.write("a.jsonl", slurp(folder_ / "a.jsonl") + "{}\n");
  EXPECT_EQ(compare("--aggregator jmamp").status, 1);
  const auto outcome = compare("--aggregator jmamp --lenient");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a.jsonl: 1 row left out:\n  a.jsonl:81: field"));
}

}  // namespace
}  // namespace sp2dpo::tool
