// SPDX-License-Identifier: Apache-2.0
// Published and independently computed figures of real panels, recomputed from their raw votes.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/stats/agreement.hpp>
#include <sp2dpo/stats/diagnostics.hpp>

namespace sp2dpo {
namespace {

using Cell = std::tuple<std::string, std::string, std::string>;  // subset, llm, prompt

/// LLMBar's votes by subset, LLM and prompt.
struct Votes {
  std::map<Cell, std::vector<Annotation>> readable{};
  /// Judgments by pair, empty if unparsable.
  std::map<Cell, std::map<std::string, std::vector<std::string>>> all{};
};

Votes read_votes(const std::filesystem::path& file) {
  io::CsvReader rows(file);
  const auto pair = rows.column("pair_id"), subset = rows.column("subset"),
             llm = rows.column("llm"), prompt = rows.column("prompt_variant"),
             swapped = rows.column("swapped"), winner = rows.column("winner"),
             gold = rows.column("gold");
  Votes votes;
  while (rows.next()) {
    const Cell cell{rows.cell(subset), rows.cell(llm), rows.cell(prompt)};
    votes.all[cell][rows.cell(pair)].push_back(rows.cell(winner));
    if (rows.cell(winner).empty()) continue;
    // The gold response is the chosen one; it was shown first if it is number 1 and not swapped.
    const bool first = (rows.cell(gold) == "1") == (rows.cell(swapped) == "0");
    votes.readable[cell].push_back({.pair_id = rows.cell(pair),
                                    .annotator = rows.cell(llm),
                                    .prompt = rows.cell(prompt),
                                    .magnitude = 1,
                                    .confidence = 1,
                                    .preferred = rows.cell(winner) == rows.cell(gold)
                                                     ? Preferred::chosen
                                                     : Preferred::rejected,
                                    .order = first ? Order::chosen_first : Order::rejected_first});
  }
  return votes;
}

class LlmBar : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = test::shared_data("panel/llmbar_votes.csv");
    if (file.empty()) GTEST_SKIP() << "needs the votes in SP2DPO_SHARED_DATA";
    votes_ = read_votes(file);
  }

  /// Ratings of these LLMs and prompts over all subsets. The two orders together give one value,
  /// and each (LLM, prompt) is one rater.
  [[nodiscard]] stats::Ratings ratings(const std::vector<std::string>& llms,
                                       const std::vector<std::string>& prompts) const {
    std::map<std::string, std::size_t> units;
    std::map<std::pair<std::size_t, std::size_t>, std::vector<double>> cells;
    for (const auto& [cell, annotations] : votes_.readable) {
      const auto llm = std::ranges::find(llms, std::get<1>(cell)) - llms.begin();
      const auto prompt = std::ranges::find(prompts, std::get<2>(cell)) - prompts.begin();
      if (llm == std::ssize(llms) || prompt == std::ssize(prompts)) continue;
      for (const auto& vote : annotations) {
        const auto unit = units.try_emplace(vote.pair_id, units.size()).first->second;
        const auto rater = static_cast<std::size_t>(llm * std::ssize(prompts) + prompt);
        // By the number of the response, as in the votes, not by which one is chosen.
        cells[{unit, rater}].push_back(signed_gap(vote) * (gold_is_first(vote.pair_id) ? 1 : -1));
      }
    }
    stats::Ratings table(units.size(), llms.size() * prompts.size());
    for (const auto& [place, values] : cells) {
      double sum = 0;
      for (const double value : values) sum += value;
      table.set(place.first, place.second, sum / static_cast<double>(values.size()));
    }
    return table;
  }

  [[nodiscard]] static bool gold_is_first(const std::string& pair) {
    static const auto first = [] {
      std::set<std::string> pairs;
      io::CsvReader rows(test::shared_data("panel/llmbar_votes.csv"));
      while (rows.next())
        if (rows.cell(rows.column("gold")) == "1") pairs.insert(rows.cell(rows.column("pair_id")));
      return pairs;
    }();
    return first.contains(pair);
  }

  Votes votes_;
};

TEST_F(LlmBar, HasThePublishedAccuracyAndPositionalAgreement) {
  io::CsvReader published(test::shared_data("panel/llmbar_published_stats.csv"));
  int compared = 0;
  while (published.next()) {
    const auto text = [&](const char* column) { return published.cell(published.column(column)); };
    const Cell cell{text("subset"), text("llm"), text("prompt_variant")};
    const auto& pairs = votes_.all.at(cell);
    const auto& annotations = votes_.readable.at(cell);
    ASSERT_EQ(std::to_string(pairs.size()), text("n"));
    double right = 0;
    for (const auto& vote : annotations) right += signed_gap(vote) > 0;
    EXPECT_NEAR(100 * right / 2 / static_cast<double>(pairs.size()),
                std::stod(text("correct_average")), 0.051)
        << text("subset") << ' ' << text("llm") << ' ' << text("prompt_variant");

    const auto agreement = stats::diagnose(annotations).begin()->second.positional_agreement;
    double same = std::round(agreement.value.value() * static_cast<double>(agreement.n));
    // That source counts two unparsable replies as equal.
    for (const auto& [pair, winners] : pairs) same += winners == std::vector<std::string>{"", ""};
    EXPECT_EQ(same, std::stod(text("equal")))
        << text("subset") << ' ' << text("llm") << ' ' << text("prompt_variant");
    ++compared;
  }
  EXPECT_EQ(compared, 175);
}

TEST_F(LlmBar, HasTheIndependentlyComputedAlphas) {
  using stats::Scale;
  const auto alpha = [&](const std::vector<std::string>& llms,
                         const std::vector<std::string>& prompts) {
    return krippendorff_alpha(ratings(llms, prompts), Scale::interval, {.replicates = 0})
        .value.value();
  };
  const std::vector<std::string> prompts{
      "Vanilla_NoRules", "Vanilla",           "CoT",  "Metrics",
      "Reference",       "Metrics_Reference", "Swap", "Swap_CoT"};
  EXPECT_NEAR(alpha({"GPT-4"}, prompts), 0.857829, 5e-7);
  EXPECT_NEAR(alpha({"PaLM2"}, prompts), 0.734831, 5e-7);
  EXPECT_NEAR(alpha({"ChatGPT"}, prompts), 0.709659, 5e-7);
  const std::vector<std::string> llms{"GPT-4", "ChatGPT", "PaLM2"};
  EXPECT_NEAR(alpha(llms, {"Vanilla"}), 0.275012, 5e-7);
  EXPECT_NEAR(alpha(llms, {"CoT"}), 0.263543, 5e-7);
  EXPECT_NEAR(alpha(llms, {"Metrics_Reference"}), 0.366961, 5e-7);
}

TEST_F(LlmBar, ShowsPositionBias) {
  const auto of = [&](const std::string& llm, const std::string& prompt) {
    std::vector<Annotation> all;
    for (const auto& [cell, annotations] : votes_.readable)
      if (std::get<1>(cell) == llm && std::get<2>(cell) == prompt)
        all.insert(all.end(), annotations.begin(), annotations.end());
    return stats::diagnose(all).at(llm);
  };
  EXPECT_NEAR(of("GPT-4", "Vanilla").positional_agreement.value.value(), 0.928, 5e-4);
  EXPECT_NEAR(of("ChatGPT", "Vanilla").positional_agreement.value.value(), 0.659, 5e-4);
  EXPECT_NEAR(of("GPT-4", "Vanilla").first_preferred.value.value(), 0.512, 5e-4);
  EXPECT_NEAR(of("ChatGPT", "CoT").first_preferred.value.value(), 0.699, 5e-4);
  EXPECT_NEAR(of("PaLM2", "CoT").first_preferred.value.value(), 0.757, 5e-4);
}

TEST(PandaLm, HasTheIndependentlyComputedKappas) {
  const auto file = test::shared_data("panel/pandalm_labels.csv");
  if (file.empty()) GTEST_SKIP() << "needs the labels in SP2DPO_SHARED_DATA";
  const std::vector<std::string> raters{"human1", "human2", "human3", "gpt35turbo", "pandalm7b"};
  std::vector<std::vector<std::optional<double>>> columns(raters.size());
  io::CsvReader rows(file);
  while (rows.next())
    for (std::size_t i = 0; i < raters.size(); ++i)
      columns[i].push_back(rows.number(rows.column(raters[i])));
  const auto kappa = [&](std::size_t i, std::size_t j) {
    std::vector<double> a, b;
    for (std::size_t unit = 0; unit < columns[i].size(); ++unit)
      if (columns[i][unit] && columns[j][unit]) {
        a.push_back(*columns[i][unit]);
        b.push_back(*columns[j][unit]);
      }
    return stats::cohen_kappa(a, b).value.value();
  };
  EXPECT_NEAR(kappa(0, 1), 0.911010, 5e-7);
  EXPECT_NEAR(kappa(0, 2), 0.879169, 5e-7);
  EXPECT_NEAR(kappa(1, 2), 0.888464, 5e-7);
  EXPECT_NEAR(kappa(0, 3), 0.449536, 5e-7);
  EXPECT_NEAR(kappa(1, 3), 0.493895, 5e-7);
  EXPECT_NEAR(kappa(2, 3), 0.438542, 5e-7);
  const auto table = [&](std::size_t n) {
    stats::Ratings ratings(columns[0].size(), n);
    for (std::size_t rater = 0; rater < n; ++rater)
      for (std::size_t unit = 0; unit < columns[rater].size(); ++unit)
        if (columns[rater][unit]) ratings.set(unit, rater, *columns[rater][unit]);
    return ratings;
  };
  const stats::Bootstrap none{.replicates = 0};
  const auto nominal = stats::Scale::nominal;
  EXPECT_NEAR(krippendorff_alpha(table(3), nominal, none).value.value(), 0.892979, 5e-7);
  EXPECT_NEAR(krippendorff_alpha(table(5), nominal, none).value.value(), 0.603898, 5e-7);
  EXPECT_NEAR(gwet_ac(table(3), stats::Agreement::identity, {}, none).value.value(), 0.903249,
              5e-7);
  EXPECT_NEAR(gwet_ac(table(5), stats::Agreement::identity, {}, none).value.value(), 0.650283,
              5e-7);
  EXPECT_NEAR(fleiss_kappa(table(3), none).value.value(), 0.892801, 5e-7);
}

}  // namespace
}  // namespace sp2dpo
