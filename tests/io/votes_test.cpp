// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "files.hpp"
#include "real_panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/votes.hpp>
#include <sp2dpo/schedule/aggregate.hpp>
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using testing::ElementsAre;
using testing::HasSubstr;

/// The first response of pair a is the chosen one, and the second of pair b.
constexpr std::string_view pairs =
    R"({"id":"a","prompt":"p","chosen":"c","rejected":"r","meta":{"gold_label":1,)"
    R"("subset":"Natural","tag":{"x":"style"}}}
{"id":"b","prompt":"p","chosen":"c","rejected":"r","meta":{"gold_label":2,"subset":"Adv",)"
    R"("tag":{"x":"style"}}}
)";

struct Import {
  VoteImportCounts counts;
  std::vector<Annotation> annotations;
};

VoteImportOptions options() {
  return {.annotators = {"X"}, .prompts = {"P"}, .category = Categories().at("reasoning")};
}

Import import(std::string_view votes, const VoteImportOptions& with = options(),
              std::string_view of = pairs) {
  const Folder folder;
  const auto pair_file = folder.write("p.jsonl", of);
  const auto vote_file =
      folder.write("v.csv", "pair_id,llm,prompt_variant,swapped,winner\n" + std::string(votes));
  Import result;
  PairReader reader(pair_file);
  result.counts = import_votes(reader, vote_file, with, [&](const Annotation& annotation) {
    result.annotations.push_back(annotation);
  });
  return result;
}

DataError error_in(std::string_view votes, const VoteImportOptions& with = options(),
                   std::string_view of = pairs) {
  return error_of([&] { (void)import(votes, with, of); });
}

using Verdict = std::tuple<std::string, Preferred, double>;

std::vector<Verdict> verdicts(const Import& result) {
  std::vector<Verdict> all;
  for (const auto& one : result.annotations)
    all.emplace_back(one.pair_id, one.preferred, one.magnitude);
  return all;
}

TEST(ImportVotes, AveragesOverTheOrdersTowardsTheGoldLabel) {
  EXPECT_THAT(
      verdicts(import("a,X,P,0,1\na,X,P,1,1\nb,X,P,0,1\nb,X,P,1,1\n")),
      ElementsAre(Verdict{"a", Preferred::chosen, 1}, Verdict{"b", Preferred::rejected, 1}));
  EXPECT_THAT(verdicts(import("b,X,P,1,2\na,X,P,0,1\na,X,P,1,2\n")),
              ElementsAre(Verdict{"a", Preferred::tie, 0}, Verdict{"b", Preferred::chosen, 1}));
}

TEST(ImportVotes, LeavesOutVotesWithoutAWinner) {
  const auto result = import("a,X,P,0,\na,X,P,1,2\nb,X,P,0,\nb,X,P,1,\n");
  EXPECT_THAT(verdicts(result), ElementsAre(Verdict{"a", Preferred::rejected, 1}));
  EXPECT_EQ(result.counts.pairs, 2);
  EXPECT_EQ(result.counts.votes, 4);
  EXPECT_EQ(result.counts.unreadable, 3);
  EXPECT_EQ(result.counts.annotations, 1);
  EXPECT_EQ(result.counts.without, 1);
}

TEST(ImportVotes, FillsInTheOtherFields) {
  const auto one = import("a,X,P,0,1\n").annotations.at(0);
  EXPECT_EQ(one.annotator, "X");
  EXPECT_EQ(one.prompt, "P");
  EXPECT_EQ(one.category, Categories().at("reasoning"));
  EXPECT_EQ(one.confidence, 1);
  EXPECT_FALSE(one.order.has_value());
  EXPECT_EQ(one.sample, 0);
}

TEST(ImportVotes, ImportsTheSelectedPanelInTheOrderOfTheOptions) {
  auto with = options();
  with.annotators = {"Y", "X"};
  with.prompts = {"Q", "P"};
  const auto result = import(
      "a,X,P,0,1\na,Y,Q,0,1\na,X,Q,0,1\na,Z,Q,0,1\nunknown,Z,P,0,1\nb,Y,P,0,2\na,Y,R,0,1\n", with);
  std::vector<std::string> cells;
  for (const auto& one : result.annotations)
    cells.push_back(one.pair_id + one.annotator + one.prompt);
  EXPECT_THAT(cells, ElementsAre("aYQ", "aXQ", "aXP", "bYP"));
  EXPECT_EQ(result.counts.votes, 4);
  EXPECT_EQ(result.counts.without, 4);
}

TEST(ImportVotes, TakesTheCategoryFromAFieldOfThePair) {
  auto with = options();
  with.category.reset();
  with.category_field = "meta.tag.x";
  EXPECT_EQ(import("a,X,P,0,1\n", with).annotations.at(0).category, Categories().at("style"));

  with.category_field = "meta.subset";
  EXPECT_THAT(error_in("a,X,P,0,1\n", with).what(), HasSubstr("unknown category \"Natural\""));
  with.category_names = {{"Natural", "helpfulness"}, {"Adv", "instruction"}};
  const auto mapped = import("a,X,P,0,1\nb,X,P,0,1\n", with);
  EXPECT_EQ(mapped.annotations.at(0).category, Categories().at("helpfulness"));
  EXPECT_EQ(mapped.annotations.at(1).category, Categories().at("instruction"));

  with.category_field = "meta.none";
  const auto error = error_in("a,X,P,0,1\n", with);
  EXPECT_EQ(error.field, "meta.none");
  EXPECT_EQ(error.line, 1);
}

TEST(ImportVotes, RefusesIncompleteOptions) {
  const auto refused = [](auto change) {
    auto with = options();
    change(with);
    EXPECT_THROW((void)import("a,X,P,0,1\n", with), InvalidArgument);
  };
  refused([](auto& with) { with.annotators.clear(); });
  refused([](auto& with) { with.prompts.clear(); });
  refused([](auto& with) { with.annotators = {"X", "X"}; });
  refused([](auto& with) { with.category.reset(); });
  refused([](auto& with) { with.category_field = "meta.subset"; });
  refused([](auto& with) { with.category_names = {{"a", "tone"}}; });
}

TEST(ImportVotes, NamesTheInvalidVote) {
  struct Case {
    std::string_view votes;
    std::int64_t line;
    std::string_view field, message;
  };
  for (const auto& [votes, line, field, message] :
       {Case{"a,X,P,0,1\nc,X,P,0,1\n", 3, "pair_id", "unknown pair c"},
        Case{"a,X,P,0,3\n", 2, "winner", "expected 1, 2 or blank, not \"3\""},
        Case{"a,X,P,2,1\n", 2, "swapped", "expected 0 or 1, not \"2\""},
        Case{"a,X,P,0,1\na,X,P,0,2\n", 3, "", "duplicate vote on pair a by X under P"},
        Case{"a,Y,P,0,1\na,Z,P,0,1\n", 0, "llm", "unknown annotator \"X\"; the file has: Y, Z"},
        Case{"a,X,Q,0,1\n", 0, "prompt_variant", "unknown prompt \"P\"; the file has: Q"}}) {
    const auto error = error_in(votes);
    EXPECT_EQ(error.line, line) << votes;
    EXPECT_EQ(error.field, field) << votes;
    EXPECT_THAT(error.what(), HasSubstr(message)) << votes;
  }
}

TEST(ImportVotes, RequiresAGoldLabelForEveryPair) {
  for (const auto meta : {R"({})", R"({"gold_label":3})", R"({"gold_label":null})", R"(1)"}) {
    const auto error = error_in(
        "a,X,P,0,1\n", options(),
        R"({"id":"a","prompt":"p","chosen":"c","rejected":"r","meta":)" + std::string(meta) + "}");
    EXPECT_EQ(error.field, "meta.gold_label") << meta;
    EXPECT_EQ(error.line, 1) << meta;
  }
}

TEST(ImportVotes, GivesTheExpectedGapsOfARealPanel) {
  const test::RealPanel panel;
  if (panel.is_missing()) GTEST_SKIP() << "needs the data in SP2DPO_SHARED_DATA";
  std::vector<std::string> ids;
  for (const auto& pair : read_pairs(panel.pairs)) ids.push_back(pair.id);
  VoteTable table(ids);
  PairReader reader(panel.pairs);
  (void)import_votes(reader, panel.votes,
                     {.annotators = {"GPT-4", "ChatGPT", "PaLM2"},
                      .prompts = {"Vanilla", "CoT", "Metrics_Reference"},
                      .category = Categories().at("instruction")},
                     [&](const Annotation& annotation) { table.add(annotation); });
  const auto schedule = map_gaps(aggregate(table, Jmamp{}), Linear());

  const auto expected = panel.expected_gaps();
  EXPECT_EQ(expected.size(), 419u);
  for (const auto& [id, gaps] : expected) {
    const auto* const entry = schedule.find(id);
    ASSERT_NE(entry, nullptr) << id;
    EXPECT_NEAR(entry->gap.value().value, gaps.at("jmamp"), 1e-9) << id;
  }
}

}  // namespace
}  // namespace sp2dpo::io
