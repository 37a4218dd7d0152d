// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/report/reliability.hpp>

namespace sp2dpo::report {
namespace {

using testing::HasSubstr;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Reliability, DrawsAPointForEveryBin) {
  const std::vector<ReliabilitySeries> series{{"before & after", {{5, 0.6, 0.5}, {5, 0.9, 0.7}}},
                                              {"after", {{10, 0.55, 0.6}}}};
  const auto svg = reliability_svg(series, "How <sure>");
  EXPECT_THAT(svg, HasSubstr("before &amp; after"));
  EXPECT_THAT(svg, HasSubstr("How &lt;sure&gt;"));
  // Three points and two in the legend are closed shapes.
  EXPECT_EQ(count(svg, "Z\" fill="), 5u);
  EXPECT_EQ(svg, reliability_svg(series, "How <sure>"));
}

TEST(Reliability, RejectsInvalidSeries) {
  EXPECT_THROW((void)reliability_svg({}), InvalidArgument);
  const std::vector<ReliabilitySeries> outside{{"x", {{1, 1.5, 0.5}}}};
  EXPECT_THROW((void)reliability_svg(outside), InvalidArgument);
  const std::vector<ReliabilitySeries> four(4, {"x", {{1, 0.5, 0.5}}});
  EXPECT_THROW((void)reliability_svg(four), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::report
