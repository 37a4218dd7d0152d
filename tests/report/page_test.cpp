// SPDX-License-Identifier: Apache-2.0
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schedules.hpp"
#include "well_formed.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/report/page.hpp>

namespace sp2dpo::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string nasty = R"(<script>alert("&")</script>)";

AnnotatorGaps annotator(std::string name, std::vector<double> gaps) {
  AnnotatorGaps result{.name = std::move(name)};
  for (const double gap : gaps) result.add(gap);
  return result;
}

Page full_page() {
  Page page{.title = nasty};
  page.facts = {{nasty, nasty}};
  page.checks = all_checks(Schedule(even_entries(20)), {});
  page.checks[0].result = CheckResult::warn;
  page.annotators = {annotator(nasty, {-1, -0.2, 0.4}), annotator("b", {1, 1, 0.999})};
  page.agreement = {{"Gaps", nasty, stats::Estimate::of(0.125, 20)},
                    {"Gaps", "ICC", stats::Estimate::undefined(nasty, 0)}};
  page.agreement[0].estimate.ci = Interval{0.1, 0.2};
  page.reliability = {{"gap as it is", {{10, 0.6, 0.5}, {10, 0.9, 0.8}}}};
  page.sources = {{"pairs", nasty, std::string(64, 'a'), 20}};
  page.parameters = {{"mapper", R"({"name":"linear"})"}};
  return page;
}

/// Checks a page as XML, without its doctype.
std::string fault_in_page(const std::string& html) {
  const std::string doctype = "<!doctype html>\n";
  if (!html.starts_with(doctype)) return "no doctype";
  return fault_in(html.substr(doctype.size()));
}

TEST(HtmlPage, IsWellFormedWithEveryPartAndWithoutAny) {
  const Schedule schedule(even_entries(20));
  EXPECT_EQ(fault_in_page(html_page(schedule, full_page())), "");
  EXPECT_EQ(fault_in_page(html_page(schedule, {})), "");
}

TEST(HtmlPage, LoadsNoFileAndRunsNoScript) {
  const auto html = html_page(Schedule(even_entries(20)), full_page());
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  for (const char* const reference :
       {"src=", "href=", "url(", "@import", "<link", "<iframe", "<object", "javascript:", "onload"})
    EXPECT_THAT(html, Not(HasSubstr(reference)));
  // A namespace is a name that is never loaded.
  EXPECT_THAT(std::regex_replace(html, std::regex("xmlns=\"http://www.w3.org/2000/svg\""), ""),
              Not(HasSubstr("http")));
}

TEST(HtmlPage, ShowsEveryPart) {
  const auto html = html_page(Schedule(even_entries(20)), full_page());
  for (const char* const said : {"▲ WARN", "✓ PASS", "– not checked", "0.125", "0.100 to 0.200",
                                 "undefined: ", "Signed gaps by annotator",
                                 "share of right verdicts", "{&quot;name&quot;:&quot;linear&quot;}",
                                 "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"})
    EXPECT_THAT(html, HasSubstr(said));
  EXPECT_THAT(html, HasSubstr(std::string(64, 'a')));
}

TEST(HtmlPage, HasChartsForWideAndNarrowScreens) {
  const auto html = html_page(Schedule(even_entries(20)), full_page());
  const auto count = [&](std::string_view part) {
    std::size_t n = 0;
    for (auto at = html.find(part); at != std::string::npos; at = html.find(part, at + 1)) ++n;
    return n;
  };
  // Histogram, distribution, annotators, reliability.
  EXPECT_EQ(count("<figure class=\"wide\">"), 4u);
  EXPECT_EQ(count("<figure class=\"narrow\">"), 4u);
  EXPECT_EQ(count("width=\"360\" height"), 4u);
}

TEST(BetaEcdf, EndsAtOneHundredPercentForEveryCategory) {
  const auto svg = beta_ecdf_svg(Schedule(even_entries(500)));
  EXPECT_EQ(fault_in(svg), "");
  // The last point of every curve lies at the height of 100 %.
  const std::regex last(R"re( ([0-9.]+)" fill="none")re");
  std::vector<std::string> ends;
  for (std::sregex_iterator i(svg.begin(), svg.end(), last), none; i != none; ++i)
    ends.push_back((*i)[1]);
  ASSERT_EQ(ends.size(), 6u);  // safety, style and all: a sample in the legend, and a curve
  for (const auto i : {4u, 5u}) EXPECT_EQ(ends[i], ends[3]);
}

TEST(AnnotatorGapsSvg, CountsEachGapOnceAndClosesTheLastBin) {
  const auto all = annotator("a", {-1, -0.95, 0, 0.05, 1, 1.0, -0.0});
  EXPECT_EQ(all.n, 7);
  EXPECT_EQ(all.counts.front(), 2);
  EXPECT_EQ(all.counts[10], 3);
  EXPECT_EQ(all.counts.back(), 2);
  const std::vector<AnnotatorGaps> many(7, all);
  for (const double width : {360.0, 760.0})
    EXPECT_EQ(fault_in(annotator_gaps_svg(many, width)), "");
  EXPECT_THROW((void)annotator_gaps_svg({}), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::report
