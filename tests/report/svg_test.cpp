// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "schedules.hpp"
#include "well_formed.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/report/svg.hpp>

namespace sp2dpo::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Bar {
  double x, y, width, height;
  std::string tip;
};

std::vector<Bar> bars_of(const std::string& svg) {
  static const std::regex bar(
      R"re(<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" )re"
      R"re(class="bar"[^>]*><title>([^<]*)<)re");
  std::vector<Bar> bars;
  for (std::sregex_iterator i(svg.begin(), svg.end(), bar), last; i != last; ++i)
    bars.push_back(
        {std::stod((*i)[1]), std::stod((*i)[2]), std::stod((*i)[3]), std::stod((*i)[4]), (*i)[5]});
  return bars;
}

/// One bin with 4 pairs of safety and 2 of style, another with 1 of safety.
Schedule three_bars() {
  std::vector<ScheduleEntry> entries;
  for (int i = 0; i < 4; ++i) entries.push_back(entry(0.101));
  for (int i = 0; i < 2; ++i) entries.push_back(entry(0.102, 5));
  entries.push_back(entry(0.2999));
  return Schedule(std::move(entries));
}

TEST(WellFormed, TheCheckerFindsFaults) {
  EXPECT_EQ(fault_in("<a b=\"1\"><c/>&amp;</a>\n"), "");
  EXPECT_NE(fault_in("<a><b></a></b>"), "");
  EXPECT_NE(fault_in("<a>&</a>"), "");
  EXPECT_NE(fault_in("<a b=1/>"), "");
  EXPECT_NE(fault_in("<a b=\"1\" b=\"2\"/>"), "");
  EXPECT_NE(fault_in("<a>"), "");
  EXPECT_NE(fault_in("<a/><b/>"), "");
}

TEST(BetaHistogram, HasBarsProportionalToTheirCounts) {
  const auto bars = bars_of(beta_histogram_svg(three_bars()));
  ASSERT_EQ(bars.size(), 3u);
  EXPECT_GT(bars[0].height, 50);
  EXPECT_NEAR(bars[1].height, bars[0].height / 2, 0.02);
  EXPECT_NEAR(bars[2].height, bars[0].height / 4, 0.02);
  EXPECT_THAT(bars[0].tip, HasSubstr("safety: 4 pairs"));
  EXPECT_THAT(bars[1].tip, HasSubstr("style: 2 pairs"));
}

TEST(BetaHistogram, StacksTheCategoriesOfABin) {
  const auto bars = bars_of(beta_histogram_svg(three_bars()));
  ASSERT_EQ(bars.size(), 3u);
  EXPECT_DOUBLE_EQ(bars[0].x, bars[1].x);
  EXPECT_NEAR(bars[1].y + bars[1].height, bars[0].y, 0.02);
  EXPECT_NEAR(bars[0].y + bars[0].height, bars[2].y + bars[2].height, 0.02);  // the same base line
  EXPECT_GT(bars[2].x, bars[0].x);
}

TEST(BetaHistogram, PutsEveryPairInABin) {
  auto entries = even_entries(500);
  entries.push_back(entry(0.03));
  entries.push_back(entry(0.3));
  entries.push_back(entry(1.7));  // beyond the envelope: the axis grows
  entries.push_back(entry_without_gap(0.1));
  const Schedule schedule(std::move(entries));
  for (const int bins : {1, 2, 27, 100}) {
    int counted = 0;
    for (const auto& bar : bars_of(beta_histogram_svg(schedule, {.bins = bins})))
      counted += std::stoi(bar.tip.substr(bar.tip.find(": ") + 2));
    EXPECT_EQ(counted, 504) << bins << " bins";
  }
}

TEST(BetaHistogram, MarksTheEndsOfTheEnvelope) {
  const auto svg = beta_histogram_svg(three_bars(), {.envelope = {0.05, 0.29}});
  EXPECT_THAT(svg, HasSubstr("envelope 0.05"));
  EXPECT_THAT(svg, HasSubstr("envelope 0.29"));
}

TEST(BetaHistogram, IsWellFormedAndWithoutScripts) {
  const auto svg = beta_histogram_svg(three_bars());
  EXPECT_EQ(fault_in(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
}

TEST(BetaHistogram, EscapesNames) {
  std::vector<ScheduleEntry> entries;
  entries.push_back(entry(0.1));
  const Schedule schedule(std::move(entries), Categories({"a<b>&\"c\"\x01"}));
  const auto svg = beta_histogram_svg(schedule, {.title = "x < y"});
  EXPECT_EQ(fault_in(svg), "");
  EXPECT_THAT(svg, HasSubstr("a&lt;b&gt;&amp;&quot;c&quot;"));
  EXPECT_THAT(svg, HasSubstr("x &lt; y"));
}

TEST(BetaHistogram, GroupsCategoriesBeyondThePaletteAsOthers) {
  std::vector<std::string> names;
  std::vector<ScheduleEntry> entries;
  for (std::size_t i = 0; i < 10; ++i) {
    names.push_back("category" + std::to_string(i));
    entries.push_back(entry(0.1, i));
  }
  const auto svg = beta_histogram_svg(Schedule(std::move(entries), Categories(names)));
  EXPECT_EQ(bars_of(svg).size(), 6u);
  EXPECT_THAT(svg, HasSubstr("other categories: 5 pairs"));
}

TEST(BetaHistogram, DrawsASingleBetaAndAnEnvelopeOfWidthZero) {
  std::vector<ScheduleEntry> entries;
  entries.push_back(entry(0.1));
  const auto svg = beta_histogram_svg(Schedule(std::move(entries)), {.envelope = {0.1, 0.1}});
  EXPECT_EQ(bars_of(svg).size(), 1u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(BetaHistogram, RejectsEmptySchedulesAndZeroBins) {
  EXPECT_THROW((void)beta_histogram_svg(Schedule({})), InvalidArgument);
  EXPECT_THROW((void)beta_histogram_svg(three_bars(), {.bins = 0}), InvalidArgument);
}

struct Place {
  double x, y;
};

/// The points of the paths of one class.
std::vector<std::vector<Place>> paths_of(const std::string& svg, const std::string& css_class) {
  const std::regex path("<path d=\"([^\"]*)\" class=\"" + css_class + "\"");
  static const std::regex point(R"([ML]([-\d.]+) ([-\d.]+))");
  std::vector<std::vector<Place>> paths;
  for (std::sregex_iterator i(svg.begin(), svg.end(), path), last; i != last; ++i) {
    const std::string d = (*i)[1];
    auto& points = paths.emplace_back();
    for (std::sregex_iterator j(d.begin(), d.end(), point); j != last; ++j)
      points.push_back({std::stod((*j)[1]), std::stod((*j)[2])});
  }
  return paths;
}

TEST(TrainingCurves, DrawTheMeanAndTheRangeOfTheRuns) {
  const std::vector<CurveChart> charts{
      {"accuracy", {{"one", {0, 10, 20}, {{0, 1, 2}, {0, 3, 6}}}, {"two", {0, 20}, {{0, 10}}}}}};
  const auto svg = training_curves_svg(charts);
  const auto lines = paths_of(svg, "curve");
  ASSERT_EQ(lines.size(), 2u);
  ASSERT_EQ(lines[0].size(), 3u);
  // The second curve rises by 10 over the chart; the means of the first are 0, 2 and 4.
  const double unit = (lines[1][0].y - lines[1][1].y) / 10;
  EXPECT_GT(unit, 0);
  EXPECT_NEAR(lines[0][0].y - lines[0][1].y, 2 * unit, 0.02);
  EXPECT_NEAR(lines[0][0].y - lines[0][2].y, 4 * unit, 0.02);
  EXPECT_NEAR(lines[0][1].x - lines[0][0].x, lines[0][2].x - lines[0][1].x, 0.02);

  const auto bands = paths_of(svg, "band");
  ASSERT_EQ(bands.size(), 2u);
  ASSERT_EQ(bands[0].size(), 6u);
  EXPECT_NEAR(lines[0][0].y - bands[0][2].y, 6 * unit, 0.02);  // largest at step 20
  EXPECT_NEAR(lines[0][0].y - bands[0][3].y, 2 * unit, 0.02);  // smallest there
}

TEST(TrainingCurves, AverageTheRunsThatReachedAStep) {
  const std::vector<CurveChart> charts{{"p", {{"c", {0, 1, 2, 3}, {{0, 2, 4}, {0, 4}, {}}}}}};
  const auto lines = paths_of(training_curves_svg(charts), "curve");
  ASSERT_EQ(lines.size(), 1u);
  ASSERT_EQ(lines[0].size(), 3u);  // every run ends before step 3
  EXPECT_NEAR((lines[0][0].y - lines[0][2].y) / (lines[0][0].y - lines[0][1].y), 4.0 / 3, 0.01);
}

TEST(TrainingCurves, AreWellFormedWithEscapedNamesAndConstantValues) {
  const std::vector<CurveChart> charts{{"a < b", {{"c & d", {0}, {{5}}}}},
                                       {"zero", {{"e", {0, 1}, {{0, 0}}}}}};
  const auto svg = training_curves_svg(charts, "\"T\"");
  EXPECT_EQ(fault_in(svg), "");
  EXPECT_THAT(svg, HasSubstr("c &amp; d"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(TrainingCurves, RejectInvalidCharts) {
  const auto draw = [](std::vector<CurveChart> charts) { (void)training_curves_svg(charts); };
  EXPECT_THROW(draw({}), InvalidArgument);
  EXPECT_THROW(draw({{"p", {}}}), InvalidArgument);
  EXPECT_THROW(draw({{"p", {{"c", {0, 1}, {{}}}}}}), InvalidArgument);
  EXPECT_THROW(draw({{"p", {{"c", {0}, {{1, 2}}}}}}), InvalidArgument);
  EXPECT_THROW(draw({{"p", {{"c", {0}, {{std::nan("")}}}}}}), InvalidArgument);
  EXPECT_THROW(draw({{"p", std::vector<Curve>(8, {"c", {0}, {{1}}})}}), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::report
