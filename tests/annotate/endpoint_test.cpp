// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fake_answer.hpp"
#include "fake_provider.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeOptions;
using test::FakeProvider;
using test::Fault;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using Clock = std::chrono::steady_clock;
using Kind = ChatReply::Kind;

constexpr const char* key = "sk-test/Secret+Key-7";

/// Options with short waits, so that the tests are fast.
EndpointOptions options_for(const FakeProvider& provider) {
  setenv("SP2DPO_TEST_KEY", key, 1);
  return {.base_url = provider.base_url(),
          .key_variable = "SP2DPO_TEST_KEY",
          .backoff = milliseconds(4),
          .max_backoff = milliseconds(50)};
}

ChatRequest request(const std::string& text) {
  return {.body = fmt::format(R"({{"messages":[{{"content":{},"role":"user"}}],"model":"m"}})",
                              test::json_text(text)),
          .key = fmt::format("{:064x}", test::hash_of(text)),
          .prompt_bytes = text.size(),
          .max_tokens = 100};
}

std::string expected(const ChatRequest& request) {
  const std::string sent = sent_body(request);
  return test::complete(sent).json(test::hash_of(sent));
}

void drain(Endpoint& endpoint) {
  while (endpoint.unfinished() > 0) endpoint.poll(milliseconds(1000));
}

ChatReply ask(const std::string& text, EndpointOptions options) {
  return Endpoint(std::move(options)).ask(request(text));
}

bool full_tests() {
  return std::getenv("SP2DPO_FULL_TESTS") != nullptr;
}

TEST(Endpoint, ReturnsTheReplyByteForByte) {
  const FakeProvider provider({.key = key});
  Endpoint endpoint(options_for(provider));
  const ChatRequest question = request("what?");
  const ChatReply reply = endpoint.ask(question);
  EXPECT_EQ(reply.kind, Kind::answered) << reply.detail;
  EXPECT_EQ(reply.http_status, 200);
  EXPECT_EQ(reply.body, expected(question));
  EXPECT_EQ(reply.request_id, "req_fake");
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_EQ(reply.usage->prompt_tokens, 2);
  EXPECT_GT(reply.seconds, 0);
  EXPECT_LT(reply.seconds, 5);
}

TEST(Endpoint, SendsOnlyTheHeadersThatAServerNeeds) {
  const FakeProvider provider;
  ask("x", options_for(provider));
  const std::string heads = provider.heads();
  EXPECT_THAT(heads, HasSubstr("POST /v1/chat/completions HTTP/1.1"));
  EXPECT_THAT(heads, HasSubstr("Content-Type: application/json"));
  EXPECT_THAT(heads, HasSubstr(std::string("Authorization: Bearer ") + key));
  EXPECT_THAT(heads, Not(HasSubstr("Expect")));
  EXPECT_THAT(heads, Not(HasSubstr("Cookie")));
}

TEST(Endpoint, SendsNoKeyWithoutAKeyVariable) {
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.key_variable.clear();
  EXPECT_EQ(ask("x", options).kind, Kind::answered);
  EXPECT_THAT(provider.heads(), Not(HasSubstr("uthorization")));
}

TEST(Endpoint, RunsCallbacksInThePollingThreadAndAcceptsTheirRequests) {
  const FakeProvider provider;
  Endpoint endpoint(options_for(provider));
  const auto here = std::this_thread::get_id();
  int ran = 0;
  Endpoint::Callback again = [&](const ChatRequest&, const ChatReply& reply) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_EQ(reply.kind, Kind::answered);
    if (++ran < 20) endpoint.submit(request(fmt::format("{}", ran)), again);
  };
  endpoint.submit(request("first"), again);
  EXPECT_EQ(endpoint.unfinished(), 1U);
  drain(endpoint);
  EXPECT_EQ(ran, 20);
  EXPECT_EQ(provider.counts().connections, 1);
}

TEST(Endpoint, LosesNothingWhenACallbackThrows) {
  const FakeProvider provider;
  Endpoint endpoint(options_for(provider));
  int ran = 0;
  for (int i = 0; i < 50; ++i)
    endpoint.submit(request(fmt::format("{}", i)), [&](const ChatRequest&, const ChatReply&) {
      if (++ran % 10 == 3) throw std::runtime_error("disk full");
    });
  int thrown = 0;
  while (endpoint.unfinished() > 0) {
    try {
      endpoint.poll(milliseconds(1000));
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  EXPECT_EQ(ran, 50);
  EXPECT_EQ(thrown, 5);
}

TEST(Endpoint, ServesManyWaitingThreads) {
  const FakeProvider provider({.latency = milliseconds(2)});
  Endpoint endpoint(options_for(provider));
  std::vector<std::thread> threads;
  std::vector<int> right(8, 0);
  for (std::size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const ChatRequest question = request(fmt::format("{} {}", t, i));
        right[t] += endpoint.ask(question).body == expected(question) ? 1 : 0;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(right, Each(50));
  EXPECT_GE(provider.counts().most_at_once, 4);
}

TEST(Endpoint, OneThreadDrivesSeveralEndpoints) {
  const FakeProvider one({.latency = milliseconds(20)});
  const FakeProvider other({.latency = milliseconds(1)});
  Endpoint slow(options_for(one));
  Endpoint fast(options_for(other));
  std::vector<int> order;
  for (Endpoint* const endpoint : {&slow, &fast})
    endpoint->submit(request("x"),
                     [&order, is_slow = endpoint == &slow](const ChatRequest&, const ChatReply&) {
                       order.push_back(is_slow ? 1 : 0);
                     });
  Endpoint* const both[] = {&slow, &fast, &slow};
  const auto begin = Clock::now();
  while (order.size() < 2) Endpoint::poll(both, seconds(10));
  EXPECT_THAT(order, testing::ElementsAre(0, 1));
  EXPECT_LT(Clock::now() - begin, seconds(5));
}

TEST(Endpoint, NeverExceedsMaxConcurrent) {
  const FakeProvider provider({.latency = milliseconds(3)});
  EndpointOptions options = options_for(provider);
  options.max_concurrent = 7;
  Endpoint endpoint(options);
  for (int i = 0; i < 200; ++i)
    endpoint.submit(request(fmt::format("{}", i)), [](const ChatRequest&, const ChatReply&) {});
  drain(endpoint);
  EXPECT_EQ(provider.counts().most_at_once, 7);
  EXPECT_EQ(provider.counts().connections, 7);
}

TEST(Endpoint, WithdrawReturnsUnsentRequests) {
  const FakeProvider provider({.latency = milliseconds(30)});
  EndpointOptions options = options_for(provider);
  options.max_concurrent = 3;
  Endpoint endpoint(options);
  std::set<std::string> answered;
  for (int i = 0; i < 10; ++i)
    endpoint.submit(request(fmt::format("{}", i)), [&](const ChatRequest& asked, const ChatReply&) {
      answered.insert(asked.key);
    });
  while (provider.counts().requests < 3) endpoint.poll(milliseconds(1));
  const auto back = endpoint.withdraw();
  EXPECT_EQ(back.size(), 7U);
  EXPECT_EQ(endpoint.unfinished(), 3U);
  drain(endpoint);
  EXPECT_EQ(answered.size(), 3U);
  for (const auto& one : back) EXPECT_FALSE(answered.contains(one.key));
  EXPECT_EQ(provider.counts().requests, 3);
}

class Passing : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(Endpoint, Passing,
                         testing::Values(Fault::too_many, Fault::too_many_seconds,
                                         Fault::too_many_ms, Fault::too_many_date,
                                         Fault::too_many_absurd, Fault::error_500, Fault::busy_503,
                                         Fault::reset, Fault::reset_midway, Fault::truncated,
                                         Fault::html, Fault::empty, Fault::hidden_error,
                                         Fault::hang),
                         [](const auto& of) { return std::string(test::name_of(of.param)); });

TEST_P(Passing, FaultsAreRetriedUntilTheyPass) {
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.timeout = milliseconds(200);
  const ChatRequest question = request(fmt::format("fake({}*2)", test::name_of(GetParam())));
  const auto begin = Clock::now();
  const ChatReply reply = Endpoint(options).ask(question);
  EXPECT_EQ(reply.kind, Kind::answered) << reply.detail;
  EXPECT_EQ(reply.body, expected(question));
  EXPECT_EQ(reply.attempts, 3);
  EXPECT_EQ(provider.counts().requests, 3);
  EXPECT_GE(Clock::now() - begin, seconds(GetParam() == Fault::too_many_seconds ? 2 : 0));
}

TEST_P(Passing, PersistentFaultsFailAfterMaxAttempts) {
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.timeout = milliseconds(100);
  options.max_attempts = 2;
  const ChatReply reply = ask(fmt::format("fake({})", test::name_of(GetParam())), options);
  EXPECT_EQ(reply.kind, Kind::transport);
  EXPECT_EQ(reply.attempts, 2);
  EXPECT_NE(reply.detail, "");
  EXPECT_EQ(provider.counts().requests, 2);
}

class Harmless : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(Endpoint, Harmless,
                         testing::Values(Fault::chunked, Fault::gzip, Fault::trickle, Fault::large,
                                         Fault::wrong_type, Fault::other_model, Fault::bad_utf8),
                         [](const auto& of) { return std::string(test::name_of(of.param)); });

TEST_P(Harmless, UnusualRepliesAreAcceptedAtOnce) {
  const FakeProvider provider;
  const ChatRequest question = request(fmt::format("fake({})", test::name_of(GetParam())));
  const ChatReply reply = Endpoint(options_for(provider)).ask(question);
  EXPECT_EQ(reply.kind, Kind::answered) << reply.detail;
  EXPECT_EQ(reply.attempts, 1);
  switch (GetParam()) {
    case Fault::large:
      EXPECT_GT(reply.body.size(), 1'000'000U);
      break;
    case Fault::other_model:
      EXPECT_THAT(reply.body, HasSubstr("-of-another-day"));
      break;
    case Fault::bad_utf8:
      EXPECT_THAT(reply.body, HasSubstr("\xff\xfe\x80"));
      break;
    default:
      EXPECT_EQ(reply.body, expected(question));
  }
}

struct Final {
  Fault fault;
  Kind kind;
  int status;
  bool stops;
  const char* detail;
};
class Lasting : public testing::TestWithParam<Final> {};
INSTANTIATE_TEST_SUITE_P(
    Endpoint, Lasting,
    testing::Values(Final{Fault::bad_field, Kind::rejected, 400, false, "Unsupported parameter"},
                    Final{Fault::array_error, Kind::rejected, 400, false, "Unknown name \"seed\""},
                    Final{Fault::detail_error, Kind::rejected, 422, false, "extra field"},
                    Final{Fault::unknown_model, Kind::rejected, 404, false, "model_not_found"},
                    Final{Fault::redirect, Kind::rejected, 307, false, "not followed"},
                    Final{Fault::bad_key, Kind::rejected, 401, true, "provided: [key]"},
                    Final{Fault::quota, Kind::quota, 429, true, "insufficient_quota"},
                    Final{Fault::long_wait, Kind::quota, 429, true, "36000 s"}),
    [](const auto& of) { return std::string(test::name_of(of.param.fault)); });

TEST_P(Lasting, FaultsAreNotRetried) {
  const FakeProvider elsewhere;
  const FakeProvider provider({.redirect_port = elsewhere.port()});
  Endpoint endpoint(options_for(provider));
  const auto& [fault, kind, status, stops, detail] = GetParam();
  const ChatReply reply = endpoint.ask(request(fmt::format("fake({})", test::name_of(fault))));
  EXPECT_EQ(reply.kind, kind);
  EXPECT_EQ(reply.http_status, status);
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_THAT(reply.detail, HasSubstr(detail));
  EXPECT_EQ(provider.counts().requests, 1);
  EXPECT_EQ(elsewhere.heads(), "");

  const ChatReply next = endpoint.ask(request("next"));
  EXPECT_EQ(next.kind, stops ? kind : Kind::answered);
  EXPECT_EQ(next.attempts, stops ? 0 : 1);
  EXPECT_EQ(endpoint.stopped(), stops ? reply.detail : "");
  EXPECT_EQ(provider.counts().requests, stops ? 1 : 2);
}

TEST(Endpoint, StopsAfterConsecutiveRejections) {
  const FakeProvider provider({.plan = [](const test::Asked&) { return Fault::unknown_model; }});
  EndpointOptions options = options_for(provider);
  options.max_concurrent = 1;
  Endpoint endpoint(options);
  int rejected = 0;
  for (int i = 0; i < 100; ++i)
    endpoint.submit(request(fmt::format("{}", i)), [&](const ChatRequest&, const ChatReply& reply) {
      rejected += reply.kind == Kind::rejected ? 1 : 0;
    });
  drain(endpoint);
  EXPECT_EQ(rejected, 100);
  EXPECT_EQ(provider.counts().requests, 20);
  EXPECT_THAT(endpoint.stopped(), HasSubstr("20 consecutive rejections"));
}

TEST(Endpoint, StopsWhenTheServerIsGone) {
  EndpointOptions options;
  {
    const FakeProvider provider;
    options = options_for(provider);
  }
  options.max_outage = milliseconds(300);
  options.max_attempts = 1000;
  options.max_failures = 5;
  Endpoint endpoint(options);
  std::vector<Kind> kinds;
  for (int i = 0; i < 40; ++i)
    endpoint.submit(request(fmt::format("{}", i)), [&](const ChatRequest&, const ChatReply& reply) {
      kinds.push_back(reply.kind);
    });
  drain(endpoint);
  EXPECT_EQ(kinds.size(), 40U);
  EXPECT_THAT(kinds, Each(Kind::transport));
  EXPECT_NE(endpoint.stopped(), "");
}

TEST(Endpoint, A429PausesAllRequests) {
  // The first request closes the gate for a second; the other nineteen wait too.
  const FakeProvider provider({.plan = [](const test::Asked& asked) {
    return asked.number == 0 ? Fault::too_many_seconds : Fault::none;
  }});
  EndpointOptions options = options_for(provider);
  options.max_concurrent = 1;
  Endpoint endpoint(options);
  for (int i = 0; i < 20; ++i)
    endpoint.submit(request(fmt::format("{}", i)), [](const ChatRequest&, const ChatReply&) {});
  drain(endpoint);
  const auto arrivals = provider.arrivals();
  ASSERT_EQ(arrivals.size(), 21U);
  EXPECT_GE(arrivals[1] - arrivals[0], milliseconds(990));
  EXPECT_EQ(endpoint.counts().throttled, 1);
}

TEST(Endpoint, RefusesAReplyAboveTheSizeLimit) {
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.max_reply_bytes = 10'000;
  const ChatReply reply = ask("fake(large)", options);
  EXPECT_EQ(reply.kind, Kind::transport);
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_THAT(reply.detail, HasSubstr("more than 10000 bytes"));
}

TEST(Endpoint, RejectsARequestAboveTheTokenLimitPerMinute) {
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.tokens_per_minute = 100;
  const ChatReply reply = ask("x", options);
  EXPECT_EQ(reply.kind, Kind::rejected);
  EXPECT_EQ(reply.attempts, 0);
  EXPECT_EQ(provider.counts().requests, 0);
}

TEST(Endpoint, NeverRevealsItsKey) {
  const FakeProvider elsewhere;
  const FakeProvider provider({.redirect_port = elsewhere.port()});
  std::string all;
  for (const Fault fault : {Fault::none, Fault::echoed_key, Fault::bad_key, Fault::redirect,
                            Fault::html, Fault::reset, Fault::quota}) {
    EndpointOptions options = options_for(provider);
    options.max_attempts = 1;
    Endpoint endpoint(options);
    const ChatReply reply = endpoint.ask(request(fmt::format("fake({})", test::name_of(fault))));
    all += reply.body + reply.detail + reply.request_id + endpoint.stopped() + "\n";
    all += endpoint.options().key_variable + endpoint.options().base_url;
  }
  EXPECT_THAT(all, HasSubstr("[key]"));
  EXPECT_THAT(all, Not(HasSubstr(key)));
  EXPECT_THAT(all, Not(HasSubstr("Secret")));
  EXPECT_THAT(all, Not(HasSubstr("\\u006b-t")));  // as the provider escapes the key
}

TEST(Endpoint, RefusesInvalidOptions) {
  const auto refused = [](EndpointOptions options, const std::string& why) {
    try {
      const Endpoint endpoint(std::move(options));
      ADD_FAILURE() << why;
    } catch (const InvalidArgument& problem) {
      EXPECT_THAT(problem.what(), HasSubstr(why));
      EXPECT_THAT(problem.what(), Not(HasSubstr("sesame")));
    }
  };
  refused({.base_url = "http://example.com/v1"}, "http to example.com");
  refused({.base_url = "https://user:sesame@example.com/v1"}, "user name or a password");
  refused({.base_url = "https://sesame@example.com/v1"}, "user name or a password");
  refused({.base_url = "https://example.com/v1?key=sesame"}, "parameter after its ?");
  refused({.base_url = "https://example.com/v1?api-version=1&sesame"}, "parameter after its ?");
  refused({.base_url = "https://example.com/v1#sesame"}, "contains a #");
  refused({.base_url = "example.com/v1"}, "must begin with https://");
  refused({.base_url = "localhost:8000/v1"}, "must begin with https://");
  refused({.base_url = "https://example.com/v1 "}, "white space");
  refused({.base_url = "http://127.0.0.1:/v1"}, "no port after its colon");
  refused({.base_url = "https://example.com/v1/v1"}, "/v1 twice");
  refused({.base_url = "https://example.com/v1/completions"}, "ends in /completions");
  // Names that look like addresses of this machine.
  for (const char* const host : {"127.0.0.1.example.com", "127.x", "localhost.example.com",
                                 "127.0.0.1x", "128.0.0.1", "[::2]", "127.0.0.256", "notlocalhost"})
    refused({.base_url = fmt::format("http://{}/v1", host)}, "http to ");
  refused({.base_url = "http://localhost/v1", .proxy = "http://proxy.example.com:3128"},
          "through a proxy");
  refused({.base_url = "https://x/", .key_variable = "sk-sesame"}, "name of an environment");
  refused({.base_url = "https://x/", .key_variable = "gsk_sesame0123456789"}, "name of a variable");
  refused({.base_url = "https://x/", .key_variable = "Bearer sesame"}, "name of an environment");
  refused({.base_url = "https://x/", .key_header = "api key"}, "name of a header");
  refused({.base_url = "https://x/", .headers = {{"Authorization", "sesame"}}}, "hold a key");
  refused({.base_url = "https://x/", .headers = {{"API-Key", "sesame"}}}, "hold a key");
  refused({.base_url = "https://x/", .headers = {{"X-Team", "sesame\r\nX: 1"}}}, "control");
  refused({.base_url = "https://x/", .headers = {{"Content-Length", "1"}}}, "set by the program");
  refused({.base_url = "ftp://example.com/"}, "got ftp");
  refused({.base_url = "file:///etc/passwd"}, "got file");
  refused({.base_url = ""}, "is not a valid URL");
  refused({.base_url = "https://exa mple.com"}, "is not a valid URL");
  refused({.base_url = "https://x/", .key_variable = "SP2DPO_NOT_SET"}, "SP2DPO_NOT_SET");
  refused({.base_url = "https://x/", .ca_file = "no/such.pem"}, "no/such.pem");
  refused({.base_url = "https://x/", .proxy = "http://me:sesame@proxy"},
          "proxy contains a user name");
  refused({.base_url = "https://x/", .max_concurrent = 0}, "max_concurrent");
  refused({.base_url = "https://x/", .requests_per_minute = -1}, "requests_per_minute");
  refused({.base_url = "https://x/", .requests_per_minute = 0.5}, "requests_per_minute");
  refused({.base_url = "https://x/", .timeout = milliseconds(0)}, "timeout");
  refused({.base_url = "https://x/", .max_attempts = 0}, "max_attempts");
  EXPECT_NO_THROW(Endpoint({.base_url = "http://example.com/v1", .allow_http = true}));
  EXPECT_NO_THROW(Endpoint({.base_url = "http://localhost:8000/v1"}));
  EXPECT_NO_THROW(Endpoint({.base_url = "http://[::1]:8000/v1/"}));
  for (const char* const host : {"LOCALHOST", "localhost.", "127.8.9.10", "0.0.0.0", "LocalHost:80",
                                 "api.localhost", "[::ffff:127.0.0.1]"})
    EXPECT_NO_THROW(Endpoint({.base_url = fmt::format("http://{}/v1", host)})) << host;
}

TEST(Endpoint, SendsAQueryAKeyHeaderAndOwnHeaders) {
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.base_url += "/chat/completions?api-version=2024-10-21";
  options.key_header = "api-key";
  options.headers = {{"X-Team", "judges"}};
  EXPECT_EQ(ask("x", options).kind, Kind::answered);
  const std::string heads = provider.heads();
  EXPECT_THAT(heads, HasSubstr("POST /v1/chat/completions?api-version=2024-10-21 HTTP/1.1"));
  EXPECT_THAT(heads, HasSubstr(std::string("api-key: ") + key));
  EXPECT_THAT(heads, HasSubstr("X-Team: judges"));
  EXPECT_THAT(heads, Not(HasSubstr("uthorization")));
}

TEST(Endpoint, A404NamesTheAddress) {
  const FakeProvider provider({.plan = [](const test::Asked&) { return Fault::unknown_model; }});
  EndpointOptions options = options_for(provider);
  options.base_url = fmt::format("http://127.0.0.1:{}/api", provider.port());
  const ChatReply reply = ask("x", options);
  EXPECT_EQ(reply.kind, Kind::rejected);
  EXPECT_THAT(reply.detail, HasSubstr(options.base_url + "/chat/completions"));
  EXPECT_THAT(reply.detail, HasSubstr("/v1?"));
}

TEST(Endpoint, BypassesTheEnvironmentsProxyForThisMachine) {
  const FakeProvider proxy;
  const FakeProvider provider;
  setenv("http_proxy", proxy.base_url().c_str(), 1);
  const ChatReply reply = ask("x", options_for(provider));
  unsetenv("http_proxy");
  EXPECT_EQ(reply.kind, Kind::answered);
  EXPECT_EQ(proxy.heads(), "");
}

TEST(Endpoint, UsesTheProxyInItsOptions) {
  const FakeProvider proxy;
  EndpointOptions options = options_for(proxy);
  options.proxy = fmt::format("http://127.0.0.1:{}", proxy.port());
  options.base_url = "http://nowhere.invalid/v1";
  options.allow_http = true;
  EXPECT_EQ(ask("x", options).kind, Kind::answered);
  EXPECT_THAT(proxy.heads(), HasSubstr("POST http://nowhere.invalid/v1/chat/completions"));
}

TEST(Endpoint, CallsFilesAndBatches) {
  const FakeProvider provider({.key = key});
  Endpoint endpoint(options_for(provider));
  const auto path = std::filesystem::temp_directory_path() / "sp2dpo_endpoint_test.jsonl";
  std::ofstream(path) << R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":)"
                      << request("x").body << "}\n";
  const ChatReply file = endpoint.call(
      {.method = "POST", .path = "/files", .file = path, .fields = {{"purpose", "batch"}}});
  std::filesystem::remove(path);
  ASSERT_EQ(file.kind, Kind::answered) << file.detail;
  EXPECT_THAT(file.body, HasSubstr("file-0"));
  const ChatReply batch = endpoint.call(
      {.method = "POST", .path = "/batches", .body = R"({"input_file_id":"file-0"})"});
  EXPECT_THAT(batch.body, HasSubstr("validating"));
  EXPECT_THAT(endpoint.call({.method = "GET", .path = "/batches/batch_0"}).body,
              HasSubstr("in_progress"));
  EXPECT_THAT(endpoint.call({.method = "GET", .path = "/batches/batch_0"}).body,
              HasSubstr("completed"));
  EXPECT_THAT(endpoint.call({.method = "GET", .path = "/files/file-1/content"}).body,
              HasSubstr(R"("custom_id":"a")"));
  const ChatReply missing = endpoint.call({.method = "GET", .path = "/files/file-9/content"});
  EXPECT_EQ(missing.kind, Kind::rejected);
  EXPECT_EQ(missing.http_status, 404);
}

TEST(Endpoint, AnswersTenThousandRequestsOnceEachUnderAllFaults) {
  const int n = full_tests() ? 10'000 : 2'000;
  const FakeProvider provider({.plan = test::mixed_faults(0.4, 11, true)});
  EndpointOptions options = options_for(provider);
  options.max_concurrent = 64;
  options.timeout = milliseconds(3000);
  Endpoint endpoint(options);
  std::map<std::string, int> answers;
  int submitted = 0;
  while (static_cast<int>(answers.size()) < n) {
    for (; submitted < n && endpoint.unfinished() < 256; ++submitted)
      endpoint.submit(request(fmt::format("question {}", submitted)),
                      [&](const ChatRequest& asked, const ChatReply& reply) {
                        EXPECT_EQ(reply.kind, Kind::answered) << reply.detail;
                        ++answers[asked.key];
                      });
    endpoint.poll(seconds(10));
  }
  EXPECT_EQ(endpoint.unfinished(), 0U);
  EXPECT_TRUE(std::ranges::all_of(answers, [](const auto& one) { return one.second == 1; }));
  const auto counts = provider.counts();
  EXPECT_EQ(counts.distinct, n);
  EXPECT_EQ(counts.answered, n);
  EXPECT_EQ(counts.asked_again, 0);
  EXPECT_GT(counts.requests, n + n / 10);
  EXPECT_EQ(endpoint.counts().answered, n);
}

/// Returns the resident memory of this process in KiB.
long resident() {
  std::ifstream statm("/proc/self/statm");
  long size = 0;
  long pages = 0;
  statm >> size >> pages;
  return pages * 4;
}

TEST(Endpoint, MemoryDoesNotGrowWithRequests) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer keeps what is freed";
#endif
  const int n = full_tests() ? 100'000 : 20'000;
  const FakeProvider provider;
  EndpointOptions options = options_for(provider);
  options.max_concurrent = 64;
  Endpoint endpoint(options);
  int answered = 0;
  int submitted = 0;
  long warm = 0;
  const auto cpu = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double begin = cpu();
  while (answered < n) {
    for (; submitted < n && endpoint.unfinished() < 256; ++submitted)
      endpoint.submit(request(fmt::format("question {}", submitted)),
                      [&](const ChatRequest&, const ChatReply& reply) {
                        answered += reply.kind == Kind::answered ? 1 : 0;
                      });
    endpoint.poll(seconds(10));
    if (warm == 0 && answered > n / 4) warm = resident();
  }
  const double rate = n / (cpu() - begin);
  RecordProperty("requests_per_cpu_second", static_cast<int>(rate));
  std::printf("%.0f requests per second of this thread's CPU time\n", rate);
  // This process also holds the provider's record of bodies and arrivals: at most 100 bytes each.
  EXPECT_LE(resident() - warm, 4096 + n / 10);
}

TEST(Endpoint, HoldsItsRateForTwoMinutes) {
  if (!full_tests()) GTEST_SKIP() << "takes two minutes: set SP2DPO_FULL_TESTS=1";
  const FakeProvider provider({.latency = milliseconds(30)});
  EndpointOptions options = options_for(provider);
  options.requests_per_minute = 1200;
  Endpoint endpoint(options);
  int submitted = 0;
  const auto end = Clock::now() + seconds(122);
  while (Clock::now() < end) {
    while (endpoint.unfinished() < 200)
      endpoint.submit(request(fmt::format("{}", submitted++)),
                      [](const ChatRequest&, const ChatReply&) {});
    endpoint.poll(milliseconds(200));
  }
  endpoint.withdraw();
  drain(endpoint);
  const auto arrivals = provider.arrivals();
  std::size_t most = 0;
  std::size_t first = 0;
  for (std::size_t last = 0; last < arrivals.size(); ++last) {
    while (arrivals[last] - arrivals[first] > seconds(60)) ++first;
    most = std::max(most, last - first + 1);
  }
  const double held = static_cast<double>(arrivals.size()) / (122.0 / 60 * 1200);
  std::printf("at most %zu in a minute, %.1f %% of 1200 held\n", most, 100 * held);
  EXPECT_LE(most, 1200U);
  EXPECT_GE(held, 0.95);
}

}  // namespace
}  // namespace sp2dpo::annotate
