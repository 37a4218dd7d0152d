// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "panel.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/schedule/aggregate.hpp>
#include <sp2dpo/schedule/map_gaps.hpp>

namespace sp2dpo {
namespace {

using test::vote;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(VoteTable, RefusesAnAnnotationOfAnUnknownPair) {
  VoteTable votes({"a"});
  EXPECT_THAT(([&] { votes.add(vote("zz", "m1", "x", 0.5)); }),
              ThrowsMessage<InvalidArgument>(HasSubstr("unknown pair zz")));
}

TEST(VoteTable, RefusesADuplicateAnnotationButNotARepeatedQuestion) {
  VoteTable votes({"a", "b"});
  auto annotation = vote("a", "m1", "x", 0.5);
  votes.add(annotation);
  EXPECT_THAT([&] { votes.add(annotation); },
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("m1"),
                                                   HasSubstr("prompt x"), HasSubstr("sample 0"))));
  annotation.sample = 1;
  votes.add(annotation);
  annotation.order = Order::chosen_first;
  votes.add(annotation);
  annotation.order = Order::rejected_first;
  votes.add(annotation);
  annotation.prompt = "y";
  votes.add(annotation);
  annotation.annotator = "m2";
  votes.add(annotation);
  annotation.pair_id = "b";
  votes.add(annotation);
  EXPECT_EQ(votes.n_annotations(), 7u);
  EXPECT_THROW(votes.add(annotation), InvalidArgument);
}

TEST(VoteTable, RefusesNumbersOutsideTheirRangeAndUnknownCategories) {
  VoteTable votes({"a"});
  for (const double bad : {-0.01, 1.01, std::numeric_limits<double>::quiet_NaN()}) {
    auto annotation = vote("a", "m1", "x", bad);
    EXPECT_THAT([&] { votes.add(annotation); },
                ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("magnitude"))));
    annotation.magnitude = 0.5;
    annotation.confidence = bad;
    EXPECT_THAT([&] { votes.add(annotation); }, ThrowsMessage<InvalidArgument>(AllOf(
                                                    HasSubstr("pair a"), HasSubstr("confidence"))));
  }
  auto annotation = vote("a", "m1", "x", 0.5);
  annotation.category = Category{6};
  EXPECT_THAT([&] { votes.add(annotation); },
              ThrowsMessage<InvalidArgument>(HasSubstr("category number 6")));
  EXPECT_EQ(votes.n_annotations(), 0u) << "a refused annotation leaves no trace";
  annotation.category = Category{5};
  votes.add(annotation);
  EXPECT_EQ(aggregate(votes, Jmamp{}).pairs()[0].n_annotations, 1);
}

TEST(VoteTable, RefusesDuplicateIds) {
  EXPECT_THAT(([] {
                (void)VoteTable({"a", "b", "a"});
              }),
              ThrowsMessage<InvalidArgument>(HasSubstr("duplicate id: pair a")));
}

TEST(VoteTable, GivesTheSameGapsIfTheAnnotationsDoNotFitIntoMemory) {
  auto ids = test::numbered_ids(40);
  std::ranges::reverse(ids);
  std::mt19937_64 random(7);
  for (const bool grouped : {true, false}) {
    auto annotations = test::forty_pairs();
    if (!grouped) std::ranges::shuffle(annotations, random);
    const auto expected = aggregate(test::table(ids, annotations), Jmamp{});
    for (const std::size_t limit : {1u, 5u, 100u, 279u, 280u}) {
      const auto votes = test::table(ids, annotations, limit);
      EXPECT_EQ(votes.n_annotations(), annotations.size());
      for (int time = 0; time < 2; ++time) {  // the file can be read again
        const auto gaps = aggregate(votes, Jmamp{});
        ASSERT_EQ(gaps.size(), 40u);
        for (std::size_t i = 0; i < 40; ++i) {
          EXPECT_EQ(gaps.pairs()[i].id, ids[i]);
          EXPECT_EQ(gaps.pairs()[i].gap->value, expected.pairs()[i].gap->value) << limit;
          EXPECT_EQ(gaps.pairs()[i].n_annotations, 7);
        }
      }
    }
  }
}

TEST(VoteTable, CountsAnnotationsByAnnotatorAndPrompt) {
  const auto votes = test::table({"a", "b"}, test::panel());
  std::vector<std::string> counts;
  votes.for_each_count([&](std::string_view annotator, std::string_view prompt, auto count) {
    counts.push_back(fmt::format("{} {} {}", annotator, prompt, count));
  });
  EXPECT_THAT(counts, ::testing::UnorderedElementsAre("m1 x 2", "m1 y 1", "m2 x 2"));
}

TEST(VoteTable, VisitsAPairsAnnotationsInTheOrderInWhichTheyWereAdded) {
  VoteTable votes({"a", "b", "without"}, {}, 3);
  std::vector<double> expected;
  for (int i = 0; i < 20; ++i) {
    votes.add(vote(i % 3 == 0 ? "b" : "a", "m" + std::to_string(i), "x", i / 20.0));
    if (i % 3 != 0) expected.push_back(i / 20.0);
  }
  std::vector<std::vector<double>> seen;
  votes.for_each_pair([&](std::span<const Annotation> annotations) {
    seen.emplace_back();
    for (const auto& annotation : annotations) seen.back().push_back(annotation.magnitude);
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], expected);
  EXPECT_EQ(seen[1].size(), 7u);
}

TEST(VoteTable, FindsADuplicateInTheTemporaryFileWhenItIsRead) {
  VoteTable votes({"a", "b", "c"}, {}, 2);
  for (const auto& [pair, annotator] :
       {std::pair{"a", "m1"}, {"b", "m1"}, {"c", "m1"}, {"c", "m2"}, {"b", "m2"}})
    votes.add(vote(pair, annotator, "x", 0.5));
  EXPECT_EQ(aggregate(votes, Jmamp{}).size(), 3u);
  votes.add(vote("a", "m1", "x", 0.25));
  EXPECT_THAT([&] { (void)aggregate(votes, Jmamp{}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair a has two annotations by m1")));
}

/// Adds `annotations` as the lines of two files: the first `first_file` of them in a.jsonl, the
/// rest in b.jsonl.
void add_lines(VoteTable& votes, const std::vector<Annotation>& annotations,
               std::size_t first_file) {
  for (std::size_t i = 0; i < annotations.size(); ++i)
    votes.add(annotations[i],
              i < first_file ? Origin{"a.jsonl", static_cast<std::int64_t>(i + 1)}
                             : Origin{"b.jsonl", static_cast<std::int64_t>(i - first_file + 1)});
}

TEST(VoteTable, NamesTheLineOfADuplicateAcrossTwoRuns) {
  VoteTable votes({"a", "b", "c"}, {}, 2);
  add_lines(votes,
            {vote("a", "m1", "x", 0.5), vote("b", "m1", "x", 0.5), vote("c", "m1", "x", 0.5),
             vote("a", "m1", "x", 0.1), vote("b", "m2", "x", 0.5)},
            5);
  try {
    (void)aggregate(votes, Jmamp{});
    FAIL();
  } catch (const DataError& error) {
    EXPECT_EQ(error.file, "a.jsonl");
    EXPECT_EQ(error.line, 4);
    EXPECT_THAT(error.what(), HasSubstr("a.jsonl:4: pair a has two annotations by m1 under the "
                                        "prompt x with the same order and sample 0; the first is "
                                        "a.jsonl:1"));
  }
}

TEST(VoteTable, NamesFileAndLineOfADuplicateAcrossManyRuns) {
  const auto ids = test::numbered_ids(40);
  for (const std::size_t limit : {1u, 7u, 40u, 90u}) {  // from 280 runs to 4
    std::mt19937_64 random(limit);
    auto annotations = test::forty_pairs();
    std::ranges::shuffle(annotations, random);
    const std::size_t original = 12, duplicate = annotations.size() - 3, second_file = 200;
    annotations[duplicate] = annotations[original];
    VoteTable votes(ids, {}, limit);
    add_lines(votes, annotations, second_file);
    for (const std::size_t middle : {0u, 20u}) {  // read as a whole and in two parts
      const auto read = [&] {
        (void)aggregate_spooled(votes, Jmamp{}, 0, middle);
        (void)aggregate_spooled(votes, Jmamp{}, middle);
      };
      EXPECT_THAT(
          read,
          ThrowsMessage<DataError>(AllOf(
              HasSubstr(fmt::format("b.jsonl:{}: pair {} has two annotations",
                                    duplicate - second_file + 1, annotations[original].pair_id)),
              HasSubstr(fmt::format("the first is a.jsonl:{}", original + 1)))))
          << limit;
    }
  }
}

TEST(VoteTable, FindsADuplicateAtOnceIfTheAnnotationsAreGroupedByPair) {
  VoteTable votes({"a", "b"}, {}, 2);
  votes.add(vote("b", "m1", "x", 0.5));
  for (int i = 0; i < 9; ++i) votes.add(vote("a", "m" + std::to_string(i), "x", 0.5));
  for (int i = 0; i < 9; ++i)
    EXPECT_THROW(votes.add(vote("a", "m" + std::to_string(i), "x", 0.1)), InvalidArgument);
}

TEST(VoteTable, MayBeEmpty) {
  EXPECT_EQ(aggregate(VoteTable(std::vector<std::string>{}), Jmamp{}).size(), 0u);
}

TEST(VoteTable, KeepsAnyOrderSampleAndCategoryInItsFile) {
  std::vector<std::string> names;
  for (int i = 0; i < 255; ++i) names.push_back("c" + std::to_string(i));
  VoteTable votes({"a", "b"}, Categories(names), 1);
  std::vector<Annotation> expected;
  for (const std::int32_t sample : {0, 1, std::numeric_limits<std::int32_t>::max()})
    for (const std::optional<Order> order :
         {std::optional<Order>(), std::optional(Order::chosen_first),
          std::optional(Order::rejected_first)})
      for (const Preferred preferred : {Preferred::chosen, Preferred::rejected, Preferred::tie}) {
        Annotation annotation = vote("a", std::string(name(preferred)), "x", 0.125);
        annotation.sample = sample;
        annotation.order = order;
        annotation.preferred = preferred;
        annotation.category = static_cast<Category>(254 - expected.size());
        expected.push_back(annotation);
        votes.add(annotation);
        annotation.pair_id = "b";
        votes.add(annotation);
      }
  std::size_t pairs = 0;
  votes.for_each_pair([&](std::span<const Annotation> annotations) {
    ++pairs;
    ASSERT_EQ(annotations.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(annotations[i].sample, expected[i].sample);
      EXPECT_EQ(annotations[i].order, expected[i].order);
      EXPECT_EQ(annotations[i].preferred, expected[i].preferred);
      EXPECT_EQ(annotations[i].category, expected[i].category);
      EXPECT_EQ(annotations[i].annotator, expected[i].annotator);
    }
  });
  EXPECT_EQ(pairs, 2u);
}

}  // namespace
}  // namespace sp2dpo
