// SPDX-License-Identifier: Apache-2.0
// Known values from a file: published ones to their digits, computed ones to 1e-9.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tables.hpp"
#include <gtest/gtest.h>
#include <simdjson.h>

#include <sp2dpo/stats/agreement.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::stats {
namespace {

using simdjson::dom::element;
using Rows = std::vector<std::vector<double>>;

constexpr Bootstrap no_interval{.replicates = 0};

class Golden : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("SP2DPO_SHARED_DATA");
    const auto path =
        std::filesystem::path(folder != nullptr ? folder : SP2DPO_SHARED_DATA) / "golden.json";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs golden.json in SP2DPO_SHARED_DATA";
    ASSERT_EQ(parser_.load(path.string()).get(all_), simdjson::SUCCESS);
  }

  [[nodiscard]] element at(std::string_view pointer) const { return all_.at_pointer(pointer); }

  [[nodiscard]] static std::vector<double> list(const element& values) {
    std::vector<double> list;
    for (const element value : values) list.push_back(value.is_null() ? test::none : double(value));
    return list;
  }

  [[nodiscard]] Rows rows(std::string_view pointer) const {
    Rows rows;
    for (const element row : at(pointer)) rows.push_back(list(row));
    return rows;
  }

  /// Half a unit of the last digit that the file prints, the error of rounding.
  void expect(const Estimate& estimate, std::string_view pointer) const {
    ASSERT_TRUE(estimate.value) << pointer << ": " << estimate.reason;
    const element golden = at(pointer);
    const std::string printed = simdjson::minify(golden);
    const auto digits = static_cast<double>(printed.size() - printed.find('.') - 1);
    const double tolerance = digits < 9 ? 0.5 * std::pow(10, -digits) * (1 + 1e-9) : 1e-9;
    EXPECT_NEAR(*estimate.value, double(golden), tolerance) << pointer;
  }

 private:
  simdjson::dom::parser parser_;
  element all_;
};

TEST_F(Golden, HoldsForKrippendorffsAlpha) {
  const Rows raters = rows("/krippendorff_wikipedia/raters_by_units");
  Ratings ratings(raters[0].size(), raters.size());
  for (std::size_t rater = 0; rater < raters.size(); ++rater)
    for (std::size_t unit = 0; unit < raters[rater].size(); ++unit)
      if (!std::isnan(raters[rater][unit])) ratings.set(unit, rater, raters[rater][unit]);
  for (const auto& [scale, name] : {std::pair{Scale::nominal, "nominal"},
                                    {Scale::ordinal, "ordinal"},
                                    {Scale::interval, "interval"},
                                    {Scale::ratio, "ratio"}})
    expect(krippendorff_alpha(ratings, scale, no_interval),
           std::string("/krippendorff_wikipedia/computed/") + name);
  for (const auto& [scale, name] :
       {std::pair{Scale::nominal, "nominal"}, {Scale::interval, "interval"}})
    expect(krippendorff_alpha(ratings, scale, no_interval),
           std::string("/krippendorff_wikipedia/published/") + name);
}

TEST_F(Golden, HoldsForIntraclassCorrelations) {
  const Icc found = icc(test::table(rows("/icc_shrout_fleiss_1979/targets_by_judges")));
  for (const std::string kind : {"published", "computed"})
    for (std::size_t form = 0; form < 3; ++form) {
      const auto name = "/icc_shrout_fleiss_1979/" + kind + "/ICC" + std::to_string(form + 1);
      expect(found.single[form], name + "1");
      expect(found.mean[form], name + "k");
    }
}

TEST_F(Golden, HoldsForFleissKappa) {
  Rows subjects;
  for (const auto& counts : rows("/fleiss_wikipedia/subjects_by_categories")) {
    auto& ratings = subjects.emplace_back();
    for (std::size_t category = 0; category < counts.size(); ++category)
      ratings.insert(ratings.end(), static_cast<std::size_t>(counts[category]),
                     static_cast<double>(category));
  }
  const auto found = fleiss_kappa(test::table(subjects), no_interval);
  expect(found, "/fleiss_wikipedia/published");
  expect(found, "/fleiss_wikipedia/computed");
}

TEST_F(Golden, HoldsForCohensKappa) {
  const Rows table = rows("/cohen_sas/table");
  std::vector<double> a;
  std::vector<double> b;
  for (std::size_t i = 0; i < table.size(); ++i)
    for (std::size_t j = 0; j < table[i].size(); ++j) {
      a.insert(a.end(), static_cast<std::size_t>(table[i][j]), static_cast<double>(i));
      b.insert(b.end(), static_cast<std::size_t>(table[i][j]), static_cast<double>(j));
    }
  expect(cohen_kappa(a, b), "/cohen_sas/kappa");
  expect(cohen_kappa(a, b), "/cohen_sas/computed/kappa");
  expect(cohen_kappa(a, b, Agreement::linear), "/cohen_sas/weighted_linear");
  expect(cohen_kappa(a, b, Agreement::linear), "/cohen_sas/computed/weighted_linear");
  expect(cohen_kappa(a, b, Agreement::quadratic), "/cohen_sas/computed/weighted_quadratic");
}

TEST_F(Golden, HoldsForRankCorrelations) {
  const auto a = list(at("/rank_corr_ties/a"));
  const auto b = list(at("/rank_corr_ties/b"));
  expect(spearman(a, b), "/rank_corr_ties/spearman");
  expect(kendall_tau_b(a, b), "/rank_corr_ties/kendall_tau_b");
}

}  // namespace
}  // namespace sp2dpo::stats
