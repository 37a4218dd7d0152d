// SPDX-License-Identifier: Apache-2.0
// The aggregators and mappers of `sp2dpo schedule`.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include "program.hpp"
#include "real_panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;

/// Three pairs. Annotator x gives `a` 0.2 and 0.8 under two prompts, y gives it 0.9.
class Parts : public testing::Test {
 protected:
  Parts() {
    folder_.write("p.jsonl", R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"}
{"id":"b","prompt":"p","chosen":"c","rejected":"r"}
{"id":"c","prompt":"p","chosen":"c","rejected":"r"}
)");
    const auto said = [](std::string_view pair, std::string_view annotator, std::string_view prompt,
                         std::string_view category, double magnitude) {
      std::ostringstream line;
      line << R"({"pair_id":")" << pair << R"(","annotator":")" << annotator << R"(","prompt":")"
           << prompt << R"(","category":")" << category << R"(","confidence":1,"magnitude":)"
           << magnitude << "}\n";
      return line.str();
    };
    folder_.write("a.jsonl",
                  said("a", "x", "p", "style", 0.2) + said("a", "x", "q", "style", 0.8) +
                      said("a", "x", "r", "style", 0.2) + said("a", "y", "p", "style", 0.9) +
                      said("b", "x", "p", "safety", 1) + said("c", "x", "p", "style", 0));
  }

  Outcome schedule(const std::string& options) {
    return run(folder_, "schedule --pairs p.jsonl --annotations a.jsonl --out s.jsonl " + options);
  }
  /// The betas of a, b and c.
  std::vector<double> betas(const std::string& options) {
    const auto outcome = schedule(options);
    EXPECT_EQ(outcome.status, 0) << options << ": " << outcome.err;
    return io::read_schedule(folder_ / "s.jsonl")
        .schedule.betas(std::vector<std::string>{"a", "b", "c"});
  }
  double gap(const std::string& aggregator) {
    return (betas("--aggregator " + aggregator).at(0) - 0.03) / 0.27;
  }
  io::ScheduleManifest manifest() {
    return io::read_schedule(folder_ / "s.jsonl").manifest.value();
  }

  Folder folder_;
};

TEST_F(Parts, AggregateByName) {
  EXPECT_NEAR(gap("jmamp"), (0.2 + 0.9) / 2, 1e-12);
  EXPECT_NEAR(gap("mean-mean"), (0.4 + 0.9) / 2, 1e-12);
  EXPECT_NEAR(gap("pooled-median"), (0.2 + 0.8) / 2, 1e-12);
  EXPECT_NEAR(gap("trimmed-mean:share=0.25"), (0.2 + 0.8) / 2, 1e-12);
  EXPECT_NEAR(gap("single:annotator=x"), 0.2, 1e-12);
  EXPECT_NEAR(gap("single:annotator=x,of=mean-mean"), 0.4, 1e-12);
  EXPECT_EQ(io::to_json(manifest().aggregator).text(),
            R"({"name":"single","parameters":{"annotator":"x","of":{"name":"mean-mean",)"
            R"("parameters":{"min_annotators":1,"min_prompts":1}}}})");
  EXPECT_NEAR((schedule("--aggregator single:prompt=q --missing drop"),
               io::read_schedule(folder_ / "s.jsonl").schedule.find("a")->gap->value),
              0.8, 1e-12);
}

TEST_F(Parts, FitToAllAnnotationsFirst) {
  // x gives 0.2, 0.8, 0.2, 1 and 0, y gives 0.9: means 0.44 and 0.9, and 0.67 overall.
  EXPECT_NEAR(gap("centred"), (0.2 + 0.23 + 0.9 - 0.23) / 2, 1e-12);
  EXPECT_EQ(manifest().aggregator.name, "centred");
  EXPECT_EQ(manifest().aggregator.parameters.at("how"), io::Json("center"));
  EXPECT_THAT(manifest().aggregator.parameters.at("means").text(),
              testing::MatchesRegex(R"(\{"x":0\.44[0-9]*,"y":0\.9\})"));
  EXPECT_NEAR(gap("centred:how=none,of=mean-mean"), (0.4 + 0.9) / 2, 1e-12);
  EXPECT_NEAR(gap("centred:how=rank"), ((1 + 2.0 / 2) / 5 + 0.5) / 2, 1e-12);
  folder_.write("w.csv", "annotator,weight\nx,3\ny,1\n");
  EXPECT_NEAR(gap("weighted:table=w.csv"), (3 * 0.2 + 0.9) / 4, 1e-12);
  EXPECT_EQ(manifest().inputs.back().role, "weights");
  EXPECT_EQ(manifest().inputs.back().sha256.size(), 64u);
  // One pair with two annotators does not define a correlation.
  const auto outcome = schedule("--aggregator reliability");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("agreement of the annotator x with the others is undefined"));
  EXPECT_NEAR(gap("dawid-skene"), (0.2 + 0.9) / 2, 1e-12);
  EXPECT_EQ(manifest().aggregator.parameters.at("converged"), io::Json(true));
}

TEST_F(Parts, NameTheAnnotatorsThatAWeightTableLacksOrInvents) {
  for (const auto& [table, message] :
       {std::pair{"x,1\n", "w.csv: field \"annotator\": missing weight for y"},
        {"x,1\ny,1\nz,1\n",
         "w.csv:4: field \"annotator\": unknown annotator z; the annotations have: x, y"},
        {"x,1\nx,2\n", "w.csv:3: field \"annotator\": duplicate weight for x"},
        {"x,-1\ny,1\n", "w.csv:2: field \"weight\": expected a weight >= 0, not \"-1\""},
        {"x,\ny,1\n", "not \"\""}}) {
    folder_.write("w.csv", std::string("annotator,weight\n") + table);
    const auto outcome = schedule("--aggregator weighted:table=w.csv");
    EXPECT_EQ(outcome.status, 1) << table;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << table;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "s.jsonl")) << table;
  }
}

TEST_F(Parts, MapByName) {
  const std::string mean_mean = "--aggregator mean-mean --mapper ";  // gaps 0.65, 1 and 0
  using V = std::vector<double>;
  const auto near = [](const V& expected) {
    std::vector<testing::Matcher<double>> all;
    for (const double value : expected) all.push_back(testing::DoubleNear(value, 1e-12));
    return testing::ElementsAreArray(all);
  };
  EXPECT_THAT(betas(mean_mean + "linear"), near({0.2055, 0.3, 0.03}));
  EXPECT_THAT(betas(mean_mean + "rank"), near({0.165, 0.255, 0.075}));
  EXPECT_THAT(betas(mean_mean + "inverted"), near({0.1245, 0.03, 0.3}));
  EXPECT_THAT(betas(mean_mean + "inverted:of=rank"), near({0.165, 0.075, 0.255}));
  EXPECT_THAT(betas(mean_mean + "constant:beta=0.2"), near({0.2, 0.2, 0.2}));
  EXPECT_THAT(betas(mean_mean + "mean"), near({0.1785, 0.1785, 0.1785}));
  EXPECT_THAT(betas(mean_mean + "category:safety=0.1..0.5"), near({0.2055, 0.5, 0.03}));
  EXPECT_THAT(betas(mean_mean + "logistic:midpoint=0,slope=2 --envelope 0.1,0.3"),
              near({0.1 + 0.2 / (1 + std::exp(-1.3)), 0.1 + 0.2 / (1 + std::exp(-2.0)), 0.2}));
  EXPECT_NEAR(betas(mean_mean + "random:seed=7")[0], 0.2415960603471179, 1e-12);
  auto shuffled = betas(mean_mean + "shuffled:seed=4");
  EXPECT_EQ(io::to_json(manifest().mapper).text(),
            R"({"name":"shuffled","parameters":{"of":{"name":"linear","parameters":)"
            R"({"envelope":[0.03,0.3],"gap_range":[0.0,1.0]}},"seed":4}})");
  std::ranges::sort(shuffled);
  EXPECT_THAT(shuffled, near({0.03, 0.2055, 0.3}));
  EXPECT_THAT(betas(mean_mean + "weight"), near({0.1785, 0.1785, 0.1785}));
  EXPECT_THAT(io::read_schedule(folder_ / "s.jsonl")
                  .schedule.weights(std::vector<std::string>{"a", "b", "c"}),
              near({0.2055 / 0.1785, 0.3 / 0.1785, 0.03 / 0.1785}));
}

TEST_F(Parts, ListTheChoicesForAnUnknownNameKeyOrValue) {
  struct Case {
    const char *options, *message;
  };
  for (const auto& [options, message] :
       {Case{"--aggregator mode", "unknown \"mode\"; expected one of: jmamp, mean-mean, "},
        Case{"--aggregator jmamp:share=1", "unknown key \"share\"; it takes no keys"},
        Case{"--aggregator single", "annotator=NAME"},
        Case{"--aggregator single:annotator=x,of=mode", "unknown \"mode\""},
        Case{"--aggregator trimmed-mean:share=0.5", "[0, 0.5), not 0.5"},
        Case{"--aggregator trimmed-mean:share=much", "expected a number, not \"much\""},
        Case{"--aggregator trimmed-mean:share", "key=value"},
        Case{"--aggregator trimmed-mean:share=0.1,share=0.2", "duplicate key \"share\""},
        Case{"--aggregator order-consensus:otherwise=x", "tie or drop, not \"x\""},
        Case{"--aggregator centred:how=twist", "none, center, zscore or rank, not \"twist\""},
        Case{"--aggregator weighted", "needs table=FILE.csv"},
        Case{"--aggregator reliability:of=jmamp", "unknown key \"of\"; it takes no keys"},
        Case{"--calibration platt", "--gold"},
        Case{"--gold g.csv --calibration spline", "spline"},
        Case{"--mapper quadratic", "unknown \"quadratic\"; expected one of: linear, category, "},
        Case{"--mapper shuffled:sede=1", "unknown key \"sede\"; expected one of: seed, of"},
        Case{"--mapper shuffled:seed=-1", "not \"-1\""},
        Case{"--mapper constant", "constant:beta=NUMBER"},
        Case{"--mapper constant:beta=0", "must be positive and finite, not 0"},
        Case{"--mapper logistic:slope=0", "slope must be positive"},
        Case{"--mapper category:tone=0.1..0.2", "unknown key \"tone\"; expected one of: safety, "},
        Case{"--mapper category:style=0.1", "LOW..HIGH, not \"0.1\""},
        Case{"--mapper rank --gap-range 0,2", "does not use --gap-range"},
        Case{"--mapper constant:beta=1 --envelope 0.1,0.2", "does not use --envelope"}}) {
    const auto outcome = schedule(options);
    EXPECT_EQ(outcome.status, 2) << options;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << options;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "s.jsonl")) << options;
  }
}

/// The names that an error lists.
std::vector<std::string> names_in(const std::string& error) {
  std::vector<std::string> names;
  std::istringstream list(error.substr(error.find("one of: ") + 8));
  for (std::string name; std::getline(list >> std::ws, name, ',');) {
    while (!name.empty() && name.back() == '\n') name.pop_back();
    names.push_back(name);
  }
  return names;
}

TEST_F(Parts, AreInTheHelpAndInTheDocs) {
  const std::string page = slurp(SP2DPO_AGGREGATORS_PAGE);
  const std::string help = run(folder_, "schedule --help").out;
  std::size_t count = 0;
  for (const auto* option : {"--aggregator", "--mapper"})
    for (const auto& name : names_in(schedule(std::string(option) + " nonesuch").err)) {
      EXPECT_THAT(page, HasSubstr("| `" + name + "` |")) << option;
      EXPECT_THAT(help, HasSubstr("\n  " + name + ' ')) << option;
      ++count;
    }
  EXPECT_EQ(count, 22u);
}

TEST(RealPanel, HasTheExpectedGapsUnderEveryAggregator) {
  const test::RealPanel panel;
  if (panel.is_missing()) GTEST_SKIP() << "needs the data in SP2DPO_SHARED_DATA";
  const Folder folder;
  const auto import = run(folder, panel.import_command());
  ASSERT_EQ(import.status, 0) << import.err;
  // The column names put the outer statistic first: the median of median_mean is over annotators.
  const std::map<std::string, std::string> aggregators{{"jmamp", "jmamp"},
                                                       {"mean_mean", "mean-mean"},
                                                       {"median_median", "median-median"},
                                                       {"median_mean", "mean-median"},
                                                       {"pooled_median", "pooled-median"}};
  const auto expected = panel.expected_gaps();
  ASSERT_EQ(expected.size(), 419u);
  for (const auto& [column, name] : aggregators) {
    const auto made = run(folder, "schedule --pairs '" + panel.pairs.string() +
                                      "' --annotations a.jsonl --out s.jsonl --aggregator " + name);
    ASSERT_EQ(made.status, 0) << made.err;
    const auto schedule = io::read_schedule(folder / "s.jsonl").schedule;
    for (const auto& [id, gaps] : expected)
      ASSERT_NEAR(schedule.find(id)->gap.value().value, gaps.at(column), 1e-9)
          << name << ", " << id;
  }
}

}  // namespace
}  // namespace sp2dpo::tool
