// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/stats/diagnostics.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::stats {
namespace {

Annotation said(std::string pair, std::string annotator, double gap,
                std::optional<Order> order = std::nullopt, std::string prompt = "p") {
  return {.pair_id = std::move(pair),
          .annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .magnitude = std::abs(gap),
          .confidence = 1,
          .preferred = gap < 0   ? Preferred::rejected
                       : gap > 0 ? Preferred::chosen
                                 : Preferred::tie,
          .order = order};
}

constexpr auto chosen_first = Order::chosen_first, rejected_first = Order::rejected_first;

TEST(Diagnostics, DetectPositionBias) {
  std::vector<Annotation> all;
  for (const std::string pair : {"a", "b", "c", "d"}) {
    all.push_back(said(pair, "first", 1, chosen_first));
    all.push_back(said(pair, "first", -1, rejected_first));
    all.push_back(said(pair, "fair", 0.5, chosen_first));
    all.push_back(said(pair, "fair", pair == "d" ? -0.5 : 0.5, rejected_first));
  }
  const auto result = diagnose(all);
  EXPECT_EQ(result.at("first").positional_agreement.value, 0);
  EXPECT_EQ(result.at("first").first_preferred.value, 1);
  EXPECT_EQ(result.at("first").first_preferred.n, 8);
  EXPECT_EQ(result.at("fair").positional_agreement.value, 0.75);
  EXPECT_EQ(result.at("fair").positional_agreement.n, 4);
  EXPECT_EQ(result.at("fair").first_preferred.value, 5.0 / 8);
}

TEST(Diagnostics, CountTwoTiesAsTheSameVerdict) {
  const auto result =
      diagnose(std::vector{said("a", "x", 0, chosen_first), said("a", "x", 0, rejected_first)});
  EXPECT_EQ(result.at("x").positional_agreement.value, 1);
  EXPECT_FALSE(result.at("x").first_preferred.value.has_value());
}

TEST(Diagnostics, DetectLengthBias) {
  std::vector<Annotation> all;
  const std::vector<double> lengths{5, -3, 8, -1, 2, 0};
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    all.push_back(said(std::to_string(i), "long", lengths[i] / 10));
    all.push_back(said(std::to_string(i), "short", -lengths[i] / 10));
  }
  const auto result = diagnose(all, {.length_difference = [&](std::string_view id) {
                                 return lengths.at(std::stoul(std::string(id)));
                               }});
  EXPECT_EQ(result.at("long").longer_preferred.value, 1);
  EXPECT_EQ(result.at("long").longer_preferred.n, 5);
  EXPECT_DOUBLE_EQ(result.at("long").length_correlation.value.value(), 1);
  EXPECT_EQ(result.at("short").longer_preferred.value, 0);
  EXPECT_DOUBLE_EQ(result.at("short").length_correlation.value.value(), -1);
  EXPECT_FALSE(diagnose(all).at("long").longer_preferred.value.has_value());
}

TEST(Diagnostics, CompareAnAnnotatorWithTheMeanOfTheOthers) {
  std::vector<Annotation> all;
  std::vector<double> own, others;
  for (int i = 0; i < 30; ++i) {
    const double a = 0.5 + 0.4 * std::sin(i), b = 0.4 + 0.3 * std::sin(i + 1), c = 0.01 * i;
    all.push_back(said(std::to_string(i), "a", a));
    all.push_back(said(std::to_string(i), "b", b));
    if (i % 3 != 0) all.push_back(said(std::to_string(i), "c", c));
    own.push_back(a);
    others.push_back(i % 3 != 0 ? (b + c) / 2 : b);
  }
  const auto result = diagnose(all);
  EXPECT_NEAR(result.at("a").leave_one_out.value.value(), spearman(own, others).value.value(),
              1e-12);
  double shift = 0;
  for (std::size_t i = 0; i < own.size(); ++i) shift += (own[i] - others[i]) / 30;
  EXPECT_NEAR(result.at("a").mean_shift.value.value(), shift, 1e-12);
  EXPECT_EQ(result.at("c").mean_shift.n, 20);
  EXPECT_NEAR(result.at("c").parse_rate.value.value(), 20.0 / 30, 1e-15);
}

TEST(Diagnostics, CountMissingJudgmentsUnderEveryPrompt) {
  const std::vector all{said("a", "x", 1), said("a", "x", 1, std::nullopt, "q"), said("b", "x", 1)};
  EXPECT_EQ(diagnose(all).at("x").parse_rate.value, 0.75);
  EXPECT_EQ(diagnose(all, {.n_pairs = 6}).at("x").parse_rate.value, 0.25);
  EXPECT_THROW((void)diagnose(all, {.n_pairs = 1}), InvalidArgument);
  EXPECT_FALSE(diagnose(all).at("x").leave_one_out.value.has_value());
  EXPECT_FALSE(diagnose(all).at("x").mean_shift.value.has_value());
  EXPECT_TRUE(diagnose({}).empty());
}

}  // namespace
}  // namespace sp2dpo::stats
