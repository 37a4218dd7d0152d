// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdlib>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "fake_provider.hpp"
#include "questions.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <sp2dpo/annotate/annotators.hpp>
#include <sp2dpo/annotate/chat_annotator.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using test::FakeProvider;
using test::judge_named;
using test::prompt_named;
using testing::HasSubstr;

EndpointOptions options_for(const FakeProvider& provider) {
  return {.base_url = provider.base_url(),
          .max_attempts = 3,
          .backoff = milliseconds(4),
          .max_backoff = milliseconds(20)};
}

PreferencePair pair_with(const std::string& id, const std::string& prompt) {
  return {.id = id, .prompt = prompt, .chosen = "a better answer", .rejected = "a worse one"};
}

TEST(ChatAnnotator, ReturnsTheVerdictOfTheReply) {
  const FakeProvider provider;
  Endpoint endpoint(options_for(provider));
  for (const Form form : {Form::informed, Form::blind}) {
    for (const char* const name : {"direct", "criteria", "adversarial"}) {
      const Prompt& prompt = prompt_named(name, form);
      const ChatAnnotator annotator(judge_named("t"), prompt, endpoint, Order::rejected_first);
      EXPECT_EQ(annotator.id(), (AnnotatorId{"t", prompt.name()}));
      const PreferencePair pair = pair_with("p", name);
      const AnnotationOutcome outcome = annotator.annotate(pair);
      ASSERT_TRUE(std::holds_alternative<Annotation>(outcome))
          << std::get<AnnotationFailure>(outcome).detail;
      const auto& annotation = std::get<Annotation>(outcome);
      EXPECT_EQ(annotation.pair_id, "p");
      EXPECT_EQ(annotation.prompt, prompt.name());

      // Equals what read_reply() makes of the same reply.
      const Judge judge = judge_named("t");
      const Question question{
          .judge = &judge,
          .prompt = &prompt,
          .order = form == Form::blind ? std::optional(Order::rejected_first) : std::nullopt};
      const ChatRequest request = make_request(question, pair);
      const auto read = std::get<Annotation>(
          read_reply(question, pair, request.key,
                     test::complete(sent_body(request)).json(test::hash_of(sent_body(request)))));
      EXPECT_EQ(annotation.magnitude, read.magnitude);
      EXPECT_EQ(annotation.confidence, read.confidence);
      EXPECT_EQ(annotation.preferred, read.preferred);
      EXPECT_EQ(annotation.order, question.order);
      EXPECT_EQ(annotation.meta, read.meta);
    }
  }
}

TEST(ChatAnnotator, IsSafeFromSeveralThreads) {
  const FakeProvider provider({.plan = test::mixed_faults(0.3, 7)});
  EndpointOptions options = options_for(provider);
  options.max_attempts = 10;
  Endpoint endpoint(options);
  const ChatAnnotator one(judge_named("one"), prompt_named("direct"), endpoint);
  const ChatAnnotator other(judge_named("other"), prompt_named("criteria"), endpoint);
  std::vector<int> annotations(6, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < annotations.size(); ++t)
    threads.emplace_back([&, t] {
      const Annotator& annotator = t % 2 == 0 ? one : other;
      for (int i = 0; i < 20; ++i) {
        const PreferencePair pair = pair_with(fmt::format("{}", i), fmt::format("{} {}", t, i));
        const auto outcome = annotator.annotate(pair);
        annotations[t] += std::holds_alternative<Annotation>(outcome) ? 1 : 0;
      }
    });
  for (auto& thread : threads) thread.join();
  // Replies with invalid UTF-8 may lack a verdict, so a few may be failures.
  for (const int n : annotations) EXPECT_GE(n, 15);
}

TEST(ChatAnnotator, ReturnsAnEndpointsFailureAsAValue) {
  const FakeProvider provider;
  Endpoint endpoint(options_for(provider));
  const ChatAnnotator annotator(judge_named("t"), prompt_named("direct"), endpoint);
  const auto outcome = annotator.annotate(pair_with("p", "fake(error_500)"));
  ASSERT_TRUE(std::holds_alternative<AnnotationFailure>(outcome));
  EXPECT_EQ(std::get<AnnotationFailure>(outcome).kind, AnnotationFailure::Kind::transport);
  EXPECT_THAT(std::get<AnnotationFailure>(outcome).detail, HasSubstr("HTTP 500"));
}

TEST(ChatAnnotator, ThrowsForErrorsThatNoRetryCanRepair) {
  const FakeProvider provider({.key = "another key"});
  setenv("SP2DPO_TEST_KEY", "sk-test-secret", 1);
  EndpointOptions options = options_for(provider);
  options.key_variable = "SP2DPO_TEST_KEY";
  Endpoint endpoint(options);
  const ChatAnnotator annotator(judge_named("t"), prompt_named("direct"), endpoint);
  const Retrying patient(annotator, 5);
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(patient.annotate(pair_with("p", "x")));
      ADD_FAILURE();
    } catch (const EndpointStopped& stopped) {
      EXPECT_THAT(stopped.what(), HasSubstr("t: HTTP 401"));
    }
  }
  EXPECT_EQ(provider.counts().requests, 0);  // the provider refused the key
}

}  // namespace
}  // namespace sp2dpo::annotate
