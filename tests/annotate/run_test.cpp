// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fake_provider.hpp"
#include "text/sha256.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string sha256(std::string_view text) {
  text::Sha256 hash;
  hash.update(text);
  return text::hex(hash.finish());
}

class RunTest : public testing::Test {
 protected:
  RunTest() : folder_(testing::TempDir() + "sp2dpo_run_XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("no folder");
  }
  ~RunTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path file(const char* name) const { return folder_ + "/" + name; }

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

  static std::vector<PreferencePair> pairs(int count) {
    std::vector<PreferencePair> made;
    for (int i = 0; i < count; ++i)
      made.push_back({.id = "p" + std::to_string(i), .prompt = "question " + std::to_string(i)});
    return made;
  }

  /// Asks for the pair's prompt; any answer with a choice in it counts as a verdict.
  static PanelMember member(const std::string& name, Endpoint* endpoint, int sample = 0) {
    return {.id = {name, "direct"},
            .sample = sample,
            .family = "fake",
            .model = name,
            .endpoint = endpoint,
            .price = Price{1, 2},
            .question =
                [=](const PreferencePair& pair) {
                  const auto& text = std::get<std::string>(pair.prompt);
                  ChatRequest request{.body = R"({"max_tokens":100,"messages":[{"content":")" +
                                              text + R"(","role":"user"}],"model":")" + name +
                                              "\"}",
                                      .key = {},
                                      .prompt_bytes = text.size(),
                                      .max_tokens = 100};
                  request.key = sha256(request.body + "/" + std::to_string(sample));
                  return PanelQuestion{std::move(request)};
                },
            .read =
                [](const PreferencePair& pair, std::string_view body) {
                  if (body.find("\"choices\"") != body.npos)
                    return ReadAnswer{Annotation{.pair_id = pair.id}};
                  return ReadAnswer{AnnotationFailure{AnnotationFailure::Kind::malformed, "no"},
                                    "malformed", true};
                }};
  }
  /// As member(), but none of the answers can be read.
  static PanelMember hopeless(Endpoint* endpoint) {
    auto made = member("hopeless", endpoint);
    made.read = [](const PreferencePair&, std::string_view) {
      return ReadAnswer{AnnotationFailure{AnnotationFailure::Kind::malformed, "no"}, "malformed",
                        true};
    };
    return made;
  }

 private:
  std::string folder_;
  std::unique_ptr<test::FakeProvider> fake_;
};

TEST_F(RunTest, StoresEveryAnswerOnceUnderAMixOfAllFaults) {
  const int n = std::getenv("SP2DPO_FULL_TESTS") != nullptr ? 5'000 : 200;
  serve({.plan = test::mixed_faults(0.3, 7)});
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get()), member("b", asked.get())};
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
  store.each_answer([&](const StoredAnswer& answer) {
    EXPECT_TRUE(keys.insert(answer.key).second);
    EXPECT_EQ(store.request(answer.key)->family, "fake");
  });
  EXPECT_EQ(std::ssize(keys), 2 * n);
  for (const auto& pair : corpus) EXPECT_EQ(store.questions(pair.id).size(), 2U);
}

TEST_F(RunTest, AsksNothingTwiceWhenItIsRunAgain) {
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
  read_panel(corpus, members, store, [&](const PanelAnswer& answer) {
    annotations += std::holds_alternative<Annotation>(answer.answer.outcome) ? 1 : 0;
  });
  EXPECT_EQ(annotations, 3);
}

TEST_F(RunTest, RefusesTwoMembersThatWouldSendTheSame) {
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

TEST_F(RunTest, AsksAgainForAnUnusableAnswerAndKeepsBoth) {
  serve();
  const auto asked = endpoint();
  const std::vector members{hopeless(asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(4), members, store);
  EXPECT_EQ(result.progress.asked_again, 4);
  EXPECT_EQ(result.progress.answered, 4);
  EXPECT_EQ(fake().counts().requests, 8);
  read_panel(pairs(4), members, store, [&](const PanelAnswer& answer) {
    EXPECT_EQ(answer.raw.size(), 2U);
    EXPECT_EQ(answer.answer.failure_class, "malformed");
  });
  // It has had its chances.
  EXPECT_EQ(run_panel(pairs(4), members, store).progress.stored, 4);
  EXPECT_EQ(fake().counts().requests, 8);
}

TEST_F(RunTest, NeverSpendsMoreThanItMay) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const double dear = plan_panel(pairs(200), members, &store)[0].most;
  const auto result = run_panel(pairs(200), members, store, {.max_cost = dear / 20});
  EXPECT_EQ(result.end, RunResult::End::max_cost);
  EXPECT_LE(result.progress.cost, dear / 20);
  EXPECT_GT(result.progress.answered, 0);
  EXPECT_LT(result.progress.answered, 200);
  double charged = 0;
  store.each_answer([&](const StoredAnswer& answer) {
    ASSERT_TRUE(answer.usage);
    charged += (static_cast<double>(answer.usage->prompt_tokens) +
                2 * static_cast<double>(answer.usage->completion_tokens)) /
               1e6;
  });
  EXPECT_NEAR(charged, result.progress.cost, 1e-12);
  // What is done is kept, and the rest is done by the next run.
  EXPECT_EQ(run_panel(pairs(200), members, store).progress.done(), 200);
}

TEST_F(RunTest, SendsNoMoreRequestsThanItMay) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(50), members, store, {.max_requests = 7});
  EXPECT_EQ(result.end, RunResult::End::max_requests);
  EXPECT_EQ(result.progress.answered, 7);
  EXPECT_EQ(fake().counts().requests, 7);
}

TEST_F(RunTest, ASoftStopWaitsForWhatIsUnderWay) {
  serve({.latency = std::chrono::milliseconds(30)});
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(500), members, store,
                                {.should_stop = [](const auto& now) { return now.answered >= 3; }});
  EXPECT_EQ(result.end, RunResult::End::stopped);
  EXPECT_EQ(fake().counts().asked_again, 0);
  int stored = 0;
  store.each_answer([&](const StoredAnswer&) { ++stored; });
  EXPECT_EQ(stored, fake().counts().answered);
  EXPECT_EQ(stored, result.progress.answered);
  EXPECT_LT(stored, 500);
}

TEST_F(RunTest, AnEndpointThatRefusesTheKeyEndsTheRunWithWhy) {
  serve({.plan = [](const test::Asked&) { return test::Fault::bad_key; }});
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  const auto result = run_panel(pairs(300), members, store);
  EXPECT_EQ(result.end, RunResult::End::endpoints);
  ASSERT_EQ(result.endpoints_stopped.size(), 1U);
  EXPECT_LT(fake().counts().requests, 40);
  store.each_answer([](const StoredAnswer& answer) { ADD_FAILURE() << answer.body; });
}

TEST_F(RunTest, PlansWhatIsStillToBeAsked) {
  serve();
  const auto asked = endpoint();
  const std::vector members{member("a", asked.get())};
  Store store(file("s.db"));
  (void)run_panel(pairs(2), members, store);
  const auto plan = plan_panel(pairs(5), members, &store)[0];
  EXPECT_EQ(plan.questions, 5);
  EXPECT_EQ(plan.stored, 2);
  EXPECT_EQ(plan.calls, 3);
  // "question 2" has ten bytes.
  EXPECT_DOUBLE_EQ(plan.prompt_tokens, 3 * 10 / 4.0);
  EXPECT_DOUBLE_EQ(plan.completion_tokens, 300);
  EXPECT_DOUBLE_EQ(plan.cost, (3 * 10 / 4.0 + 2 * 300) / 1e6);
  EXPECT_DOUBLE_EQ(plan.most, (3 * 10 + 2 * 300) / 1e6);
}

TEST(Shards, ArePartsOfTheWholeByTheHashOfTheId) {
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
