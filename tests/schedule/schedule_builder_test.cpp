// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/schedule/jmamp.hpp>
#include <sp2dpo/schedule/linear.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Annotation vote(std::string pair, std::string annotator, std::string prompt, double magnitude) {
  return {.pair_id = std::move(pair),
          .annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .magnitude = magnitude,
          .confidence = 1};
}

std::vector<Annotation> panel() {
  return {vote("b", "m1", "x", 0.5), vote("a", "m1", "x", 0.0), vote("a", "m1", "y", 1.0),
          vote("b", "m2", "x", 1.0), vote("a", "m2", "x", 0.5)};
}

TEST(BuildSchedule, GivesEveryPairItsBetaInTheOrderOfThePairs) {
  const auto schedule = build_schedule({"b", "a"}, panel(), Jmamp{}, Linear{});
  ASSERT_EQ(schedule.size(), 2u);
  EXPECT_EQ(schedule.entries()[0].id, "b");
  EXPECT_DOUBLE_EQ(schedule.entries()[0].gap->value, 0.75);
  EXPECT_DOUBLE_EQ(schedule.entries()[0].beta, 0.03 + 0.27 * 0.75);
  EXPECT_EQ(schedule.entries()[1].id, "a");
  EXPECT_DOUBLE_EQ(schedule.entries()[1].beta, 0.165);
  EXPECT_EQ(schedule.entries()[1].gap->n_annotations, 3);
}

TEST(BuildSchedule, DoesNotDependOnTheOrderOfTheAnnotations) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> magnitude(0, 1);
  std::vector<std::string> ids;
  std::vector<Annotation> votes;
  for (int pair = 0; pair < 50; ++pair) {
    ids.push_back("p" + std::to_string(pair));
    for (int annotator = 0; annotator < 3; ++annotator)
      for (int prompt = 0; prompt < 3; ++prompt)
        for (int sample = 0; sample < 3; ++sample) {
          votes.push_back(vote(ids.back(), "m" + std::to_string(annotator),
                               "q" + std::to_string(prompt), magnitude(random)));
          votes.back().sample = sample;
          votes.back().category = static_cast<Category>(random() % 6);
        }
  }
  const auto expected = build_schedule(ids, votes, Jmamp{}, Linear{});
  std::shuffle(votes.begin(), votes.end(), random);
  const auto actual = build_schedule(ids, votes, Jmamp{}, Linear{});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(actual.entries()[i].beta, expected.entries()[i].beta) << ids[i];
    EXPECT_EQ(actual.entries()[i].gap->category, expected.entries()[i].gap->category) << ids[i];
  }
}

TEST(BuildSchedule, HandsTheAggregatorWhatTheAnnotationsSaid) {
  Annotation said = vote("a", "m1", "x", 0.4);
  said.category = Category{3};
  said.confidence = 0.25;
  said.preferred = Preferred::rejected;
  said.order = Order::rejected_first;
  said.sample = 7;
  int calls = 0;
  const auto check = [&](std::span<const Annotation> votes) -> std::optional<SemanticGap> {
    ++calls;
    EXPECT_EQ(votes.size(), 1u);
    EXPECT_EQ(votes[0].pair_id, "a");
    EXPECT_EQ(votes[0].annotator, "m1");
    EXPECT_EQ(votes[0].prompt, "x");
    EXPECT_EQ(votes[0].category, Category{3});
    EXPECT_EQ(votes[0].magnitude, 0.4);
    EXPECT_EQ(votes[0].confidence, 0.25);
    EXPECT_EQ(votes[0].preferred, Preferred::rejected);
    EXPECT_EQ(votes[0].order, Order::rejected_first);
    EXPECT_EQ(votes[0].sample, 7);
    return SemanticGap{.value = signed_gap(votes[0])};
  };
  const auto schedule = build_schedule({"a"}, std::vector{said}, check, Linear{});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(schedule.entries()[0].clipped, Clip::low);
  EXPECT_EQ(schedule.entries()[0].beta, 0.03);
}

TEST(BuildSchedule, TakesAMapperThatDoesNotClip) {
  const auto schedule = build_schedule({"a", "b"}, panel(), Jmamp{},
                                       [](const SemanticGap& gap) { return 0.1 + gap.value; });
  EXPECT_DOUBLE_EQ(schedule.find("b")->beta, 0.85);
  EXPECT_EQ(schedule.find("b")->clipped, Clip::none);
}

TEST(BuildSchedule, NamesThePairThatTheMapperGivesNoBeta) {
  EXPECT_THAT(([] {
                (void)build_schedule({"a", "b"}, panel(), Jmamp{},
                                     [](const SemanticGap& gap) { return 0.5 - gap.value; });
              }),
              ThrowsMessage<InvalidArgument>(HasSubstr("pair a")));
}

TEST(BuildSchedule, StopsAtAPairWithoutAnnotationsUnlessToldOtherwise) {
  const auto build = [](const Jmamp& aggregate, Missing missing) {
    return build_schedule({"a", "lonely", "b"}, panel(), aggregate, Linear{}, missing);
  };
  EXPECT_THAT(
      [&] { (void)build({}, {}); },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair lonely"), HasSubstr("0 annotations"))));

  const auto dropped = build({}, {Missing::Policy::drop});
  EXPECT_EQ(dropped.size(), 2u);
  EXPECT_EQ(dropped.find("lonely"), nullptr);

  const auto filled = build({}, {Missing::Policy::base_beta, 0.1});
  ASSERT_EQ(filled.size(), 3u);
  EXPECT_EQ(filled.entries()[1].beta, 0.1);
  EXPECT_FALSE(filled.entries()[1].gap.has_value())
      << "a filled beta is flagged by its missing gap";
  EXPECT_TRUE(filled.entries()[0].gap.has_value());

  EXPECT_THAT(([&] {
                (void)build({}, {Missing::Policy::base_beta, 0.0});
              }),
              ThrowsMessage<InvalidArgument>(HasSubstr("pair lonely")));
  EXPECT_THAT(([&] { (void)build({.min_prompts = 2}, {}); }),
              ThrowsMessage<InvalidArgument>(HasSubstr("pair lonely")));
  EXPECT_EQ(build({.min_prompts = 2}, {Missing::Policy::drop}).size(), 1u)
      << "b has too few prompts";
}

TEST(ScheduleBuilder, RefusesAnAnnotationOfAnUnknownPair) {
  ScheduleBuilder builder({"a"});
  EXPECT_THAT(([&] { builder.add(vote("zz", "m1", "x", 0.5)); }),
              ThrowsMessage<InvalidArgument>(HasSubstr("unknown pair zz")));
}

TEST(ScheduleBuilder, RefusesTheSameQuestionAnsweredTwiceButNotARepeatOfItsOwn) {
  ScheduleBuilder builder({"a", "b"});
  auto annotation = vote("a", "m1", "x", 0.5);
  builder.add(annotation);
  EXPECT_THAT([&] { builder.add(annotation); },
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("m1"),
                                                   HasSubstr("prompt x"), HasSubstr("sample 0"))));
  annotation.sample = 1;
  builder.add(annotation);
  annotation.order = Order::chosen_first;
  builder.add(annotation);
  annotation.order = Order::rejected_first;
  builder.add(annotation);
  annotation.prompt = "y";
  builder.add(annotation);
  annotation.annotator = "m2";
  builder.add(annotation);
  annotation.pair_id = "b";
  builder.add(annotation);
  EXPECT_EQ(builder.n_annotations(), 7u);
  EXPECT_THROW(builder.add(annotation), InvalidArgument);
}

TEST(ScheduleBuilder, RefusesNumbersOutsideTheirRangeAndUnknownCategoriesAndKeepsNothingOfThem) {
  ScheduleBuilder builder({"a"});
  for (const double bad : {-0.01, 1.01, std::numeric_limits<double>::quiet_NaN()}) {
    auto annotation = vote("a", "m1", "x", bad);
    EXPECT_THAT([&] { builder.add(annotation); },
                ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("magnitude"))));
    annotation.magnitude = 0.5;
    annotation.confidence = bad;
    EXPECT_THAT(
        [&] { builder.add(annotation); },
        ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("confidence"))));
  }
  auto annotation = vote("a", "m1", "x", 0.5);
  annotation.category = Category{6};
  EXPECT_THAT([&] { builder.add(annotation); },
              ThrowsMessage<InvalidArgument>(HasSubstr("category number 6")));
  EXPECT_EQ(builder.n_annotations(), 0u);
  annotation.category = Category{5};
  builder.add(annotation);
  EXPECT_EQ(builder.build(Jmamp{}, Linear{}).size(), 1u);
}

TEST(ScheduleBuilder, RefusesDoubledIds) {
  EXPECT_THAT(([] {
                (void)ScheduleBuilder({"a", "b", "a"});
              }),
              ThrowsMessage<InvalidArgument>(HasSubstr("pair a is there twice")));
}

/// A panel of seven on each of 40 pairs; with `random`, in no order.
std::vector<Annotation> many(std::mt19937_64* random) {
  std::vector<Annotation> votes;
  for (int pair = 0; pair < 40; ++pair)
    for (int i = 0; i < 7; ++i)
      votes.push_back(vote("p" + std::to_string(pair), "m" + std::to_string(i / 3),
                           "x" + std::to_string(i % 3), (pair * 7 + i) % 11 / 10.0));
  if (random != nullptr) std::ranges::shuffle(votes, *random);
  return votes;
}

TEST(ScheduleBuilder, MakesTheSameOfAnnotationsThatDoNotFitIntoMemory) {
  std::vector<std::string> ids;
  for (int pair = 0; pair < 40; ++pair) ids.push_back("p" + std::to_string(39 - pair));
  std::mt19937_64 random(7);
  for (const bool grouped : {true, false}) {
    const auto votes = many(grouped ? nullptr : &random);
    const auto expected = build_schedule(ids, votes, Jmamp{}, Linear{});
    for (const std::size_t most : {1u, 5u, 100u, 279u, 280u}) {
      ScheduleBuilder builder(ids, {}, most);
      for (const auto& annotation : votes) builder.add(annotation);
      EXPECT_EQ(builder.n_annotations(), votes.size());
      // More than once: the file can be read again.
      for (int time = 0; time < 2; ++time) {
        const auto schedule = builder.build(Jmamp{}, Linear{});
        ASSERT_EQ(schedule.size(), 40u);
        for (std::size_t i = 0; i < 40; ++i) {
          const auto& entry = schedule.entries()[i];
          EXPECT_EQ(entry.id, ids[i]);
          EXPECT_EQ(entry.beta, expected.entries()[i].beta) << "most " << most;
          EXPECT_EQ(entry.gap->n_annotations, 7);
        }
      }
    }
  }
}

TEST(ScheduleBuilder, MakesInPartsWhatItMakesAsAWhole) {
  std::vector<std::string> ids{"without"};
  for (int pair = 0; pair < 40; ++pair) ids.push_back("p" + std::to_string(pair));
  std::mt19937_64 random(7);
  const auto votes = many(&random);
  const auto expected =
      build_schedule(ids, votes, Jmamp{}, Linear{}, {.policy = Missing::Policy::drop});
  for (const std::size_t most : {1u, 5u, 100u, 1000u}) {
    ScheduleBuilder builder(ids, {}, most);
    for (const auto& annotation : votes) builder.add(annotation);
    for (const std::size_t middle : {0u, 1u, 2u, 20u, 40u, 41u}) {
      std::vector<double> betas;
      std::vector<std::string> seen, left_out;
      for (const auto& [first, last] : {std::pair{std::size_t{0}, middle}, {middle, ids.size()}})
        builder.for_each_entry(
            Jmamp{}, Linear{}, {.policy = Missing::Policy::drop},
            [&](std::string_view id, const ScheduleEntry* entry) {
              seen.emplace_back(id);
              if (entry == nullptr)
                left_out.emplace_back(id);
              else
                betas.push_back(entry->beta);
            },
            first, last);
      EXPECT_EQ(seen, ids) << most << ' ' << middle;
      EXPECT_EQ(left_out, std::vector<std::string>{"without"});
      ASSERT_EQ(betas.size(), expected.size());
      for (std::size_t i = 0; i < betas.size(); ++i)
        EXPECT_EQ(betas[i], expected.entries()[i].beta) << most << ' ' << middle;
    }
  }
}

TEST(ScheduleBuilder, CountsAnnotationsByAnnotatorAndPrompt) {
  ScheduleBuilder builder({"a", "b"});
  for (const auto& annotation : panel()) builder.add(annotation);
  std::vector<std::string> counts;
  builder.for_each_count([&](std::string_view annotator, std::string_view prompt, auto count) {
    counts.push_back(fmt::format("{} {} {}", annotator, prompt, count));
  });
  EXPECT_THAT(counts, ::testing::UnorderedElementsAre("m1 x 2", "m1 y 1", "m2 x 2"));
}

TEST(ScheduleBuilder, GivesAPairsAnnotationsInTheOrderInWhichTheyCame) {
  ScheduleBuilder builder({"a", "b"}, {}, 3);
  std::vector<double> expected;
  for (int i = 0; i < 20; ++i) {
    builder.add(vote(i % 3 == 0 ? "b" : "a", "m" + std::to_string(i), "x", i / 20.0));
    if (i % 3 != 0) expected.push_back(i / 20.0);
  }
  std::vector<std::vector<double>> seen;
  builder.for_each_pair([&](std::span<const Annotation> votes) {
    seen.emplace_back();
    for (const auto& annotation : votes) seen.back().push_back(annotation.magnitude);
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], expected);
  EXPECT_EQ(seen[1].size(), 7u);
}

TEST(ScheduleBuilder, FindsADoubledAnnotationInTheTemporaryFileWhenItBuilds) {
  ScheduleBuilder builder({"a", "b", "c"}, {}, 2);
  for (const char* pair : {"a", "b", "c", "c", "b"})
    if (builder.n_annotations() < 3)
      builder.add(vote(pair, "m1", "x", 0.5));
    else
      builder.add(vote(pair, "m2", "x", 0.5));
  EXPECT_EQ(builder.build(Jmamp{}, Linear{}).size(), 3u);
  builder.add(vote("a", "m1", "x", 0.25));
  EXPECT_THAT([&] { (void)builder.build(Jmamp{}, Linear{}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair a has two annotations by m1")));
}

TEST(ScheduleBuilder, FindsADoubledAnnotationAtOnceWhereThePairsComeInGroups) {
  ScheduleBuilder builder({"a", "b"}, {}, 2);
  builder.add(vote("b", "m1", "x", 0.5));
  for (int i = 0; i < 9; ++i) builder.add(vote("a", "m" + std::to_string(i), "x", 0.5));
  for (int i = 0; i < 9; ++i)
    EXPECT_THROW(builder.add(vote("a", "m" + std::to_string(i), "x", 0.1)), InvalidArgument);
}

TEST(ScheduleBuilder, HasNoPairsAndNoAnnotationsToBeginWith) {
  EXPECT_EQ(build_schedule({}, {}, Jmamp{}, Linear{}).size(), 0u);
}

}  // namespace
}  // namespace sp2dpo
