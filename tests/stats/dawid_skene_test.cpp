// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/stats/dawid_skene.hpp>

namespace sp2dpo::stats {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Annotation said(std::string annotator, int category) {
  return {.annotator = std::move(annotator), .category = static_cast<Category>(category)};
}

/// Dawid and Skene (1979), table 1: five anaesthetists assign 45 patients to classes 1 to 4; the
/// first one does so three times.
const std::vector<std::vector<Annotation>>& patients() {
  static const auto result = [] {
    const char* rows[] = {
        "1111111", "3334334", "1122122", "2223121", "2223222", "2223322", "1222111", "3333433",
        "2222223", "2322223", "4444444", "2223343", "1111111", "2223212", "1211111", "1112111",
        "1111111", "1111111", "2222221", "2221322", "2222222", "2222221", "2223222", "2212222",
        "1111111", "1111111", "2322222", "1111111", "1111111", "1121121", "1111111", "3333233",
        "1111111", "2222222", "2223232", "4334343", "2212232", "2323233", "3333432", "1111111",
        "1111111", "1212111", "2322222", "1211111", "2222222"};
    std::vector<std::vector<Annotation>> all;
    for (const std::string row : rows) {
      auto& votes = all.emplace_back();
      for (std::size_t i = 0; i < row.size(); ++i)
        votes.push_back(said(std::to_string(i < 3 ? 1 : i - 1), row[i] - '1'));
    }
    return all;
  }();
  return result;
}

DawidSkene fit(const std::vector<std::vector<Annotation>>& pairs, std::size_t n_categories) {
  DawidSkeneFit fit(n_categories);
  for (const auto& votes : pairs) fit.add(votes);
  return fit.fit();
}

TEST(DawidSkene, FindsThePublishedErrorRates) {
  const auto model = fit(patients(), 4);
  EXPECT_TRUE(model.converged());
  const double shares[] = {0.40, 0.42, 0.11, 0.07};
  for (std::size_t c = 0; c < 4; ++c) EXPECT_NEAR(model.shares()[c], shares[c], 0.0051) << c;
  const double first[] = {0.89, 0.11, 0.00, 0.00, 0.07, 0.88, 0.05, 0.00,
                          0.00, 0.34, 0.66, 0.00, 0.00, 0.00, 0.56, 0.44};
  for (std::size_t i = 0; i < 16; ++i) EXPECT_NEAR(model.confusion("1")[i], first[i], 0.0051) << i;
}

TEST(DawidSkene, TrustsAReliableAnnotatorOverTwoGuessers) {
  // One annotator is right in 19 of 20 cases, two in 11 of 20: the majority is often wrong.
  std::mt19937_64 random(5);
  std::vector<std::vector<Annotation>> pairs;
  std::vector<int> truth;
  for (int pair = 0; pair < 4000; ++pair) {
    truth.push_back(static_cast<int>(random() % 2));
    const auto says = [&](std::uint64_t twentieths) {
      return random() % 20 < twentieths ? truth.back() : 1 - truth.back();
    };
    pairs.push_back({said("good", says(19)), said("fair", says(14)), said("poor", says(13)),
                     said("other", says(14))});
  }
  const auto model = fit(pairs, 2);
  int right = 0, majority = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    right += model(pairs[i]) == static_cast<Category>(truth[i]);
    int ones = 0;
    for (const auto& vote : pairs[i]) ones += static_cast<int>(vote.category);
    majority += (ones > 2 || (ones == 2 && truth[i] == 0)) == (truth[i] == 1);
  }
  EXPECT_GT(right, majority + 200);
  EXPECT_NEAR(model.confusion("good")[0], 0.95, 0.03);
  EXPECT_NEAR(model.confusion("poor")[3], 0.65, 0.03);
}

TEST(DawidSkene, IgnoresTheOrderOfItsInput) {
  auto pairs = patients();
  const auto model = fit(pairs, 4);
  std::ranges::reverse(pairs);
  for (auto& votes : pairs) std::ranges::reverse(votes);
  const auto again = fit(pairs, 4);
  for (std::size_t i = 0; i < 45; ++i)
    EXPECT_EQ(model.posterior(std::span<const Annotation>(pairs[i])),
              again.posterior(std::span<const Annotation>(patients()[44 - i])));
}

TEST(DawidSkene, IsCertainIfAllAgree) {
  const auto model = fit({{said("a", 0), said("b", 0)}, {said("a", 2), said("b", 2)}}, 3);
  EXPECT_EQ(model(std::vector{said("a", 2)}), static_cast<Category>(2));
  EXPECT_EQ(model.shares()[1], 0);
  // Every category has probability zero of a saying 0 and b saying 2.
  EXPECT_EQ(model(std::vector{said("a", 0), said("b", 2)}), std::nullopt);
}

TEST(DawidSkene, NamesUnknownAnnotatorsAndCategories) {
  const auto model = fit({{said("a", 0)}, {said("a", 1)}}, 2);
  EXPECT_THAT([&] { (void)model(std::vector{said("new", 0)}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("annotator new was not part of the fit")));
  EXPECT_THAT([&] { (void)fit({{said("a", 2)}}, 2); },
              ThrowsMessage<InvalidArgument>(HasSubstr("category number 2")));
  EXPECT_THROW((void)DawidSkeneFit(2).fit(), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::stats
