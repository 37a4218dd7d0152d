// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../io/files.hpp"
#include "fake_provider.hpp"
#include "prompt/requests.hpp"
#include "questions.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class RunTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file(const char* name) const { return folder_ / name; }

  void serve(test::FakeOptions options = {}) {
    fake_ = std::make_unique<test::FakeProvider>(std::move(options));
  }
  [[nodiscard]] std::unique_ptr<Endpoint> endpoint() const {
    return std::make_unique<Endpoint>(
        EndpointOptions{.base_url = fake_->base_url(),
                        .max_concurrent = 16,
                        .max_attempts = 12,
                        .backoff = std::chrono::milliseconds(2),
                        .max_backoff = std::chrono::milliseconds(20)});
  }
  [[nodiscard]] const test::FakeProvider& fake() const { return *fake_; }

  static std::vector<PreferencePair> pairs(int count, const std::string& more = "") {
    std::vector<PreferencePair> made;
    for (int i = 0; i < count; ++i)
      made.push_back({.id = "p" + std::to_string(i),
                      .prompt = "question " + std::to_string(i) + more,
                      .chosen = "yes",
                      .rejected = "no"});
    return made;
  }

  static const Judge& judge(const std::string& name, int reasks = 1) {
    static std::map<std::pair<std::string, int>, Judge> judges;
    return judges
        .try_emplace({name, reasks}, Judge{.name = name,
                                           .model = name,
                                           .family = "fake",
                                           .decoding = {.max_tokens = 100},
                                           .price = ListPrice{.prompt = 1, .completion = 2},
                                           .reasks = reasks})
        .first->second;
  }
  static PanelMember member(const std::string& name, Endpoint* endpoint, int sample = 0) {
    return {.judge = &judge(name),
            .prompt = &test::tiny_prompt(),
            .sample = sample,
            .endpoint = endpoint};
  }

 private:
  const sp2dpo::test::Folder folder_;
  std::unique_ptr<test::FakeProvider> fake_;
};

TEST_F(RunTest, StoresEveryReplyOnceUnderAMixOfAllFaults) {
  const int n = std::getenv("SP2DPO_FULL_TESTS") != nullptr ? 5'000 : 200;
  serve({.plan = test::mixed_faults(0.3, 7)});
  const auto asked = endpoint();
  // Some of the replies are unusable; each still answers its question.
  std::vector members{member("a", asked.get()), member("b", asked.get())};
  for (auto& each : members) each.judge = &judge(each.judge->name, 0);
  const auto corpus = pairs(n);
  Store store(file("s.db"));
  const auto result = run_panel(corpus, members, store);

  EXPECT_EQ(result.end, RunResult::End::complete);
  EXPECT_EQ(result.progress.answered, 2 * n);
  EXPECT_EQ(result.progress.failed, 0);
  EXPECT_EQ(result.progress.reserved, 0);
  EXPECT_EQ(fake().counts().distinct, 2 * n);
  EXPECT_EQ(fake().counts().asked_again, 0);
  std::set<std::string> keys;
  store.each_reply([&](const StoredReply& reply) {
    EXPECT_TRUE(keys.insert(reply.key).second);
    EXPECT_EQ(store.request(reply.key)->family, "fake");
  });
  EXPECT_EQ(std::ssize(keys), 2 * n);
  for (const auto& pair : corpus) EXPECT_EQ(store.questions(pair.id).size(), 2U);
}

TEST_F(RunTest, ASecondRunSendsOnlyNewQuestions) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  EXPECT_EQ(run_panel(pairs(20), members, store).progress.answered, 20);
  const auto again = run_panel(pairs(30), members, store);
  EXPECT_EQ(again.progress.stored, 20);
  EXPECT_EQ(again.progress.answered, 10);
  EXPECT_EQ(fake().counts().requests, 30);
}

TEST_F(RunTest, SendsEqualRequestsOfSeveralPairsOnce) {
  serve();
  const auto asked = endpoint();
  auto corpus = pairs(3);
  corpus[2].prompt = corpus[0].prompt;
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  EXPECT_EQ(plan_panel(corpus, members, &store)[0].shared, 1);
  const auto result = run_panel(corpus, members, store);
  EXPECT_EQ(result.progress.shared, 1);
  EXPECT_EQ(fake().counts().requests, 2);
  int annotations = 0;
  read_panel(corpus, members, store, [&](const PanelOutcome& read) {
    annotations += std::holds_alternative<Annotation>(read.outcome) ? 1 : 0;
  });
  EXPECT_EQ(annotations, 3);
}

TEST_F(RunTest, RefusesTwoMembersWithTheSameRequests) {
  serve();
  const auto asked = endpoint();
  Store store(file("s.db"));
  const std::vector same{member("a", asked.get()), member("a", asked.get())};
  const auto refused = ThrowsMessage<InvalidArgument>(HasSubstr("would send the same request"));
  EXPECT_THAT([&] { (void)run_panel(pairs(2), same, store); }, refused);
  EXPECT_THAT([&] { (void)plan_panel(pairs(2), same, &store); }, refused);
  EXPECT_EQ(fake().counts().requests, 0);
  const std::vector samples{member("a", asked.get(), 0), member("a", asked.get(), 1)};
  EXPECT_EQ(run_panel(pairs(2), samples, store).progress.answered, 4);
}

TEST_F(RunTest, AsksAgainForAnUnusableReplyAndKeepsBoth) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  const auto corpus = pairs(4, " fake(bad_utf8)");
  Store store(file("s.db"));
  const auto result = run_panel(corpus, members, store);
  EXPECT_EQ(result.progress.asked_again, 4);
  EXPECT_EQ(result.progress.answered, 4);
  EXPECT_EQ(fake().counts().requests, 8);
  read_panel(corpus, members, store, [&](const PanelOutcome& read) {
    EXPECT_EQ(read.replies.size(), 2U);
    EXPECT_EQ(std::get<AnnotationFailure>(read.outcome).kind, AnnotationFailure::Kind::encoding);
  });
  // The question has used up its attempts.
  EXPECT_EQ(run_panel(corpus, members, store).progress.stored, 4);
  EXPECT_EQ(fake().counts().requests, 8);
}

/// A completion with a verdict and this reason.
std::string finished(std::string_view reason) {
  return test::body_with(R"({"category":"style","magnitude":0.5,"confidence":1})", reason);
}

TEST_F(RunTest, StoredFailuresOfAServerDoNotCountAsReplies) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  const auto corpus = pairs(5);
  Store store(file("s.db"));
  const std::array bodies = {
      std::string(R"({"choices":[],"error":{"code":429,"message":"busy"}})"),
      std::string(R"({"choices":[{"message":{"content":""},"error":{"code":502}}]})"),
      finished("error"), finished("done"), finished("stop")};
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    const auto key = make_request(members[0].about(corpus[i].id), corpus[i]).key;
    for (const int ask : {0, 1}) store.add(StoredReply{.key = key, .ask = ask, .body = bodies[i]});
  }
  store.commit();
  const auto plan = plan_panel(corpus, members, &store);
  EXPECT_EQ(plan[0].calls, 4);
  EXPECT_EQ(plan[0].stored, 1);
  int unanswered = 0;
  read_panel(corpus, members, store,
             [&](const PanelOutcome& read) { unanswered += read.answered ? 0 : 1; });
  EXPECT_EQ(unanswered, 4);

  EXPECT_EQ(run_panel(corpus, members, store).progress.answered, 4);
  EXPECT_EQ(fake().counts().requests, 4);
  read_panel(corpus, members, store, [&](const PanelOutcome& read) {
    EXPECT_TRUE(read.answered);
    EXPECT_TRUE(std::holds_alternative<Annotation>(read.outcome)) << read.pair.id;
    if (read.replies.size() == 3) {
      EXPECT_EQ(read.replies.back().ask, 2);
    }
  });
  EXPECT_EQ(run_panel(corpus, members, store).progress.stored, 5);
}

TEST_F(RunTest, WhatWasRejectedBeforeIsAskedLast) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  const auto corpus = pairs(10);
  Store store(file("s.db"));
  const auto key_of = [&](std::size_t i) {
    return make_request(members[0].about(corpus[i].id), corpus[i]).key;
  };
  for (std::size_t i = 0; i < 5; ++i)
    store.add(StoredFailure{.key = key_of(i),
                            .kind = StoredFailure::Kind::rejected,
                            .http_status = 400,
                            .detail = "content filter",
                            .created = 1});
  store.commit();
  EXPECT_EQ(run_panel(corpus, members, store, {.max_requests = 5}).progress.answered, 5);
  for (std::size_t i = 0; i < 10; ++i)
    EXPECT_EQ(store.count_replies(key_of(i)), i < 5 ? 0 : 1) << i;
  EXPECT_EQ(run_panel(corpus, members, store).progress.answered, 5);
}

TEST_F(RunTest, AServersOwnFinishReasonMakesItsStoredRepliesUsable) {
  Judge own = judge("a");
  own.endpoint.finish_reasons = {"done"};
  const auto corpus = pairs(1);
  const PanelMember before = member("a", nullptr);
  PanelMember after = before;
  after.judge = &own;
  Store store(file("s.db"));
  store.add(StoredReply{.key = make_request(before.about("p0"), corpus[0]).key,
                        .body = finished("done")});
  EXPECT_EQ(plan_panel(corpus, std::vector{before}, &store)[0].calls, 1);
  EXPECT_EQ(plan_panel(corpus, std::vector{after}, &store)[0].calls, 0);
}

TEST_F(RunTest, AsksAgainOnlyWhereTheReplyMayDiffer) {
  serve();
  const auto asked = endpoint();
  const auto corpus = pairs(1, " fake(bad_utf8)");
  const auto requests = [&](std::optional<double> temperature, std::optional<std::int64_t> seed,
                            const char* name) {
    Judge own = judge(name);
    own.decoding.temperature = temperature;
    own.decoding.seed = seed;
    PanelMember one = member(name, asked.get());
    one.judge = &own;
    Store store(file(name));
    const auto before = fake().counts().requests;
    static_cast<void>(run_panel(corpus, std::vector{one}, store));
    const auto replies = store.replies(make_request(one.about("p0"), corpus[0]).key);
    EXPECT_EQ(replies[0].seed, seed);
    if (replies.size() > 1) {
      EXPECT_EQ(replies[1].seed, seed ? std::optional(*seed + 1'000'000) : seed);
    }
    return fake().counts().requests - before;
  };
  EXPECT_EQ(requests(std::nullopt, std::nullopt, "unset"), 2);
  EXPECT_EQ(requests(0.7, std::nullopt, "warm"), 2);
  EXPECT_EQ(requests(0, std::nullopt, "cold"), 1);
  EXPECT_EQ(requests(0, 7, "seeded"), 2);
}

TEST_F(RunTest, RendersEachQuestionOncePerPass) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get()), member("b", asked.get())};
  auto corpus = pairs(5, " fake(bad_utf8)");  // asked twice each
  for (auto& pair : pairs(5)) {
    pair.id += "-usable";
    corpus.push_back(std::move(pair));
  }
  Store store(file("s.db"));
  const auto renderings = [](const auto& pass) {
    const auto before = requests_made.load();
    pass();
    return requests_made.load() - before;
  };
  EXPECT_EQ(renderings([&] { (void)plan_panel(corpus, members, &store); }), 20);
  EXPECT_EQ(renderings([&] { (void)run_panel(corpus, members, store); }), 20);
  EXPECT_EQ(renderings([&] { read_panel(corpus, members, store, [](const PanelOutcome&) {}); }),
            20);
  EXPECT_EQ(renderings([&] { (void)run_panel(corpus, members, store); }), 20);
  EXPECT_EQ(fake().counts().requests, 30);
}

TEST_F(RunTest, NeverExceedsMaxCost) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const double dear = plan_panel(pairs(200), members, &store)[0].max_cost;
  const auto result = run_panel(pairs(200), members, store, {.max_cost = dear / 20});
  EXPECT_EQ(result.end, RunResult::End::max_cost);
  EXPECT_LE(result.progress.cost, dear / 20);
  EXPECT_GT(result.progress.answered, 0);
  EXPECT_LT(result.progress.answered, 200);
  double charged = 0;
  store.each_reply([&](const StoredReply& reply) {
    ASSERT_TRUE(reply.usage);
    charged += (static_cast<double>(reply.usage->prompt_tokens) +
                2 * static_cast<double>(reply.usage->completion_tokens)) /
               1e6;
  });
  EXPECT_NEAR(charged, result.progress.cost, 1e-12);
  // The next run keeps these replies and asks the rest.
  EXPECT_EQ(run_panel(pairs(200), members, store).progress.done(), 200);
}

TEST_F(RunTest, NeverExceedsMaxRequests) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(50), members, store, {.max_requests = 7});
  EXPECT_EQ(result.end, RunResult::End::max_requests);
  EXPECT_EQ(result.progress.answered, 7);
  EXPECT_EQ(fake().counts().requests, 7);
}

TEST_F(RunTest, ASoftStopWaitsForTheRequestsInFlight) {
  serve({.latency = std::chrono::milliseconds(30)});
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(500), members, store,
                                {.should_stop = [](const auto& now) { return now.answered >= 3; }});
  EXPECT_EQ(result.end, RunResult::End::stopped);
  EXPECT_EQ(fake().counts().asked_again, 0);
  int stored = 0;
  store.each_reply([&](const StoredReply&) { ++stored; });
  EXPECT_EQ(stored, fake().counts().answered);
  EXPECT_EQ(stored, result.progress.answered);
  EXPECT_LT(stored, 500);
}

TEST_F(RunTest, ARefusedKeyEndsTheRunWithTheReason) {
  serve({.plan = [](const test::Asked&) { return test::Fault::bad_key; }});
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(300), members, store);
  EXPECT_EQ(result.end, RunResult::End::endpoints);
  ASSERT_EQ(result.endpoints_stopped.size(), 1U);
  EXPECT_LT(fake().counts().requests, 40);
  store.each_reply([](const StoredReply& reply) { ADD_FAILURE() << reply.body; });
}

TEST_F(RunTest, PlansThePendingQuestions) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  (void)run_panel(pairs(2), members, store);
  const auto corpus = pairs(5);
  const auto plan = plan_panel(corpus, members, &store)[0];
  EXPECT_EQ(plan.questions, 5);
  EXPECT_EQ(plan.stored, 2);
  EXPECT_EQ(plan.calls, 3);
  double bytes = 0;
  for (const auto& pair : std::vector(corpus.begin() + 2, corpus.end()))
    bytes += static_cast<double>(make_request(members[0].about(pair.id), pair).prompt_bytes);
  EXPECT_DOUBLE_EQ(plan.prompt_tokens, bytes / 4);
  EXPECT_DOUBLE_EQ(plan.completion_tokens, 300);
  EXPECT_DOUBLE_EQ(plan.cost, (bytes / 4 + 2 * 300) / 1e6);
  EXPECT_DOUBLE_EQ(plan.max_cost, (bytes + 2 * 300) / 1e6);
}

TEST(Shards, PartitionPairsByTheHashOfTheId) {
  // SHA-256("abc") begins with ba7816bf8f01cfea.
  EXPECT_TRUE(in_shard("abc", 0xba7816bf8f01cfeaU % 7, 7));
  std::map<std::uint32_t, int> sizes;
  for (int i = 0; i < 3000; ++i)
    for (std::uint32_t part = 0; part < 3; ++part)
      sizes[part] += in_shard("p" + std::to_string(i), part, 3) ? 1 : 0;
  EXPECT_EQ(sizes[0] + sizes[1] + sizes[2], 3000);
  for (const auto& [part, size] : sizes) EXPECT_NEAR(size, 1000, 120) << part;
  EXPECT_THROW((void)in_shard("abc", 3, 3), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::annotate
