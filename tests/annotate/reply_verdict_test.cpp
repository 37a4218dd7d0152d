// SPDX-License-Identifier: Apache-2.0
#include "wire/reply_verdict.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fake_answer.hpp"
#include "wire/retry_after.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Kind = ChatReply::Kind;
using Next = ReplyVerdict::Next;

ReplyVerdict verdict_of(HttpReply reply, bool chat = true) {
  simdjson::dom::parser parser;
  return classify(reply, {.completion = chat}, parser);
}

ReplyVerdict verdict_of(int status, std::string body) {
  return verdict_of({.status = status, .body = std::move(body)});
}

constexpr const char* completion = R"({"choices":[{"message":{"content":"x"}}],)"
                                   R"("usage":{"prompt_tokens":11,"completion_tokens":4}})";

TEST(ReplyVerdict, ACompletionIsAnsweredWithItsUsage) {
  const ReplyVerdict verdict = verdict_of(200, completion);
  EXPECT_EQ(verdict.kind, Kind::answered);
  EXPECT_EQ(verdict.next, Next::deliver);
  EXPECT_EQ(verdict.usage, (Usage{11, 4}));
}

TEST(ReplyVerdict, UsageIsBelievedWhereItIsPlausible) {
  ChatRequest request{.body = std::string(1000, 'x'), .prompt_bytes = 900, .max_tokens = 100};
  const auto usage = [&](std::string_view json) {
    simdjson::dom::parser parser;
    return classify({.status = 200,
                     .body = fmt::format(R"({{"choices":[{{"message":{{"content":"x"}}}}],)"
                                         R"("usage":{}}})",
                                         json)},
                    {.request = &request}, parser)
        .usage;
  };
  const auto none = std::optional<Usage>();
  EXPECT_EQ(usage("null"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":-1,"completion_tokens":2})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":"9","completion_tokens":2})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9.5,"completion_tokens":2})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9.0,"completion_tokens":2})"), (Usage{9, 2}));
  EXPECT_EQ(usage(R"({"prompt_tokens":9e18,"completion_tokens":2})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9000000000000000000,"completion_tokens":2})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":99999999999999999999,"completion_tokens":2})"), none);
  // More than the bytes that were sent, or than the reply may have.
  EXPECT_EQ(usage(R"({"prompt_tokens":50000,"completion_tokens":2})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9,"completion_tokens":50000})"), none);
  // The total has at least its parts, and reasoning that only the total has is charged.
  EXPECT_EQ(usage(R"({"prompt_tokens":9,"completion_tokens":2,"total_tokens":11})"), (Usage{9, 2}));
  EXPECT_EQ(usage(R"({"prompt_tokens":9,"completion_tokens":2,"total_tokens":10})"), none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9,"completion_tokens":2,"total_tokens":40})"),
            (Usage{9, 31}));
  EXPECT_EQ(usage(R"({"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,)"
                  R"("completion_tokens_details":{"reasoning_tokens":5}})"),
            none);
  EXPECT_EQ(usage(R"({"prompt_tokens":9,"completion_tokens":2,)"
                  R"("completion_tokens_details":{"reasoning_tokens":5}})"),
            (Usage{9, 7}));
}

TEST(ReplyVerdict, ChoicesDoNotCountBesideAnError) {
  const auto next = [](std::string_view body) {
    const auto verdict = verdict_of(200, std::string(body));
    EXPECT_NE(verdict.kind, Kind::answered) << body;
    EXPECT_NE(verdict.detail, "") << body;
    return verdict.next;
  };
  const std::string choice = R"({"message":{"content":"x"},"finish_reason":"stop"})";
  EXPECT_EQ(next(R"({"choices":[],"error":{"code":429,"message":"busy"}})"), Next::slower);
  EXPECT_EQ(next(R"({"choices":null,"error":"down"})"), Next::retry);
  EXPECT_EQ(next(R"({"choices":[)" + choice + R"(],"error":{"code":502}})"), Next::retry);
  EXPECT_EQ(next(R"({"choices":[)" + choice + R"(],"errors":[{"message":"m"}]})"), Next::retry);
  EXPECT_EQ(next(R"({"choices":[{"message":{"content":"x"},"error":{"code":503}}]})"), Next::retry);
  EXPECT_EQ(next(R"({"choices":[{"message":{"content":"x","error":"lost"}}]})"), Next::retry);
  for (const char* const nothing : {"null", "false", "\"\"", "{}", "[]", "0"})
    EXPECT_EQ(verdict_of(200, R"({"choices":[)" + choice + R"(],"error":)" + nothing + "}").kind,
              Kind::answered)
        << nothing;
}

TEST(ReplyVerdict, OnlyKnownFinishReasonsCount) {
  const auto body = [](std::string_view reason) {
    return fmt::format(R"({{"choices":[{{"message":{{"content":"x"}},"finish_reason":{}}}]}})",
                       reason);
  };
  for (const char* const good :
       {"\"stop\"", "\"STOP\"", "\"eos\"", "\"eos_token\"", "\"stop_sequence\"", "\"end_turn\"",
        "\"complete\"", "null", "\"\""}) {
    EXPECT_EQ(verdict_of(200, body(good)).kind, Kind::answered) << good;
    EXPECT_TRUE(standing_of(body(good), {}).counts) << good;
  }
  for (const char* const bad : {"error", "network_error", "insufficient_system_resource", "abort",
                                "Server_Error", "overloaded"}) {
    const auto verdict = verdict_of(200, body(fmt::format("\"{}\"", bad)));
    EXPECT_EQ(verdict.next, Next::retry) << bad;
    EXPECT_THAT(verdict.detail, HasSubstr(bad));
    EXPECT_FALSE(standing_of(body(fmt::format("\"{}\"", bad)), {}).counts) << bad;
  }
  // Kept and charged, but no answer until the panel says what it means.
  for (const char* const odd : {"\"done\"", "\"incomplete\"", "7", "{}", "\"stopp\""}) {
    EXPECT_EQ(verdict_of(200, body(odd)).kind, Kind::answered) << odd;
    EXPECT_FALSE(standing_of(body(odd), {}).counts) << odd;
  }
  const std::vector<std::string> own = {"Done"};
  EXPECT_TRUE(standing_of(body("\"done\""), own).counts);
  for (const char* const cut : {"length", "content_filter", "tool_calls", "max_output_tokens"})
    EXPECT_TRUE(standing_of(body(fmt::format("\"{}\"", cut)), {}).counts) << cut;
}

TEST(ReplyVerdict, ASpoiltAnswerIsStillAnAnswerWithItsUsage) {
  const std::string good = completion;
  const auto with = [&](std::string_view extra) {
    return good.substr(0, good.size() - 1) + "," + std::string(extra) + "}";
  };
  std::string deep = "\"d\":";
  for (int i = 0; i < 3000; ++i) deep += '[';
  for (int i = 0; i < 3000; ++i) deep += ']';
  for (const std::string& body :
       {with("\"logprob\":-Infinity"), with("\"logprob\":NaN"), with("\"n\":1e999"),
        with("\"id\":123456789012345678901234567890"), with("\"id\":-99999999999999999999"),
        "\xEF\xBB\xBF" + good, good + std::string(3, '\0'), "\n\n  " + good + "\r\n",
        ": keep-alive\n\n" + good, with("\"note\":\"caf\xE9\""), with("\"note\":\"a\nb\tc\""),
        with("\"note\":\"\\ud83d\""), with("\"n\":01"), with(deep)}) {
    const ReplyVerdict verdict = verdict_of(200, body);
    EXPECT_EQ(verdict.kind, Kind::answered) << body.substr(0, 120);
    EXPECT_EQ(verdict.usage, (Usage{11, 4})) << body.substr(0, 120);
    EXPECT_TRUE(standing_of(body, {}).counts) << body.substr(0, 120);
  }
  // It is not JSON at all.
  EXPECT_EQ(verdict_of(200, "<p>caf\xE9</p>").next, Next::retry);
  EXPECT_EQ(verdict_of(200, "{caf\xE9}").next, Next::retry);
  EXPECT_EQ(verdict_of(200, "data: " + good + "\n\ndata: [DONE]\n\n").kind, Kind::answered);
}

TEST(ReplyVerdict, AReplyThatLostItsEndIsRequestedAgain) {
  const std::string good = completion;
  for (std::size_t size = 1; size < good.size(); ++size) {
    const ReplyVerdict verdict = verdict_of(200, good.substr(0, size));
    EXPECT_EQ(verdict.kind, Kind::transport) << good.substr(0, size);
    EXPECT_EQ(verdict.next, Next::retry) << good.substr(0, size);
  }
  EXPECT_EQ(verdict_of(200, good).kind, Kind::answered);
  // What it used is known if the end alone is lost, and is charged.
  EXPECT_EQ(verdict_of(200, good.substr(0, good.size() - 1)).usage, (Usage{11, 4}));
}

TEST(ReplyVerdict, AnotherApiIsNamedAndNotRetried) {
  for (const char* const body :
       {R"({"output":[{"content":[]}]})", R"({"content":[{"type":"text","text":"x"}]})",
        R"({"candidates":[]})", R"({"message":{"content":"x"},"done":true})"}) {
    const ReplyVerdict verdict = verdict_of(200, body);
    EXPECT_EQ(verdict.kind, Kind::rejected) << body;
    EXPECT_THAT(verdict.detail, HasSubstr("another API"));
  }
}

TEST(ReplyVerdict, ARejectionAboutTheQuestionIsKnown) {
  const auto about = [](int status, std::string body) {
    const auto verdict = verdict_of(status, std::move(body));
    EXPECT_EQ(verdict.kind, Kind::rejected);
    return verdict.about_question;
  };
  EXPECT_TRUE(about(400, R"({"error":{"code":"content_filter","message":"m"}})"));
  EXPECT_TRUE(about(400, R"({"error":{"code":"DataInspectionFailed","message":"m"}})"));
  EXPECT_TRUE(about(403, R"({"error":{"message":"Your input was flagged"}})"));
  EXPECT_TRUE(about(400, R"({"error":{"code":"context_length_exceeded","message":"m"}})"));
  EXPECT_TRUE(about(400, R"({"message":"This model's Maximum Context Length is 4096 tokens"})"));
  EXPECT_TRUE(about(413, ""));
  EXPECT_TRUE(about(429, R"({"error":{"message":"Request too large for model"}})"));
  EXPECT_TRUE(about(200, R"({"choices":[],"error":{"message":"prompt is too long"}})"));
  EXPECT_FALSE(about(400, R"({"error":{"message":"Unknown field: seed"}})"));
  EXPECT_FALSE(about(404, R"({"error":{"message":"no such model"}})"));
}

TEST(ReplyVerdict, AReplyWithInvalidTextIsStillAnswered) {
  EXPECT_EQ(verdict_of(200, "{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}").kind,
            Kind::answered);
  EXPECT_EQ(verdict_of(200, R"({"choices":[{"message":{"content":"\ud83d"}}]})").kind,
            Kind::answered);
}

TEST(ReplyVerdict, A200WithoutACompletionIsRetried) {
  for (const char* const body :
       {"", "<html>", "[]", "{}", "{\"choices\":3}", R"({"choices":[)", R"({"choices":[]})"}) {
    const ReplyVerdict verdict = verdict_of(200, body);
    EXPECT_EQ(verdict.kind, Kind::transport) << body;
    EXPECT_EQ(verdict.next, Next::retry) << body;
  }
}

TEST(ReplyVerdict, AnErrorUnderA200CountsAsThatError) {
  const auto hidden = [](const char* code) {
    return verdict_of(200, R"({"error":{"message":"no","code":)" + std::string(code) + "}}");
  };
  EXPECT_EQ(hidden("429").next, Next::slower);
  EXPECT_EQ(hidden("502").next, Next::retry);
  EXPECT_EQ(hidden("400").kind, Kind::rejected);
  EXPECT_EQ(hidden("401").next, Next::stop);
  EXPECT_EQ(hidden("null").next, Next::retry);
  EXPECT_EQ(hidden("\"insufficient_quota\"").kind, Kind::quota);
  EXPECT_EQ(verdict_of(200, R"([{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}])").next,
            Next::slower);
}

TEST(ReplyVerdict, TransientStatusesAreRetried) {
  for (const int status : {408, 409, 425, 500, 502, 503, 504, 520, 529})
    EXPECT_EQ(verdict_of(status, "").next, Next::retry) << status;
  EXPECT_EQ(verdict_of(429, "").next, Next::slower);
  EXPECT_EQ(verdict_of({.status = 503, .retry_after = "2"}).next, Next::slower);
}

TEST(ReplyVerdict, PermanentStatusesAreNotRetried) {
  for (const int status : {400, 403, 404, 405, 413, 422, 501, 505}) {
    EXPECT_EQ(verdict_of(status, "").kind, Kind::rejected) << status;
    EXPECT_EQ(verdict_of(status, "").next, Next::deliver) << status;
  }
  for (const int status : {301, 302, 307, 308}) {
    const ReplyVerdict verdict = verdict_of({.status = status, .location = "http://elsewhere/"});
    EXPECT_EQ(verdict.kind, Kind::rejected);
    EXPECT_THAT(verdict.detail, HasSubstr("http://elsewhere/"));
  }
}

TEST(ReplyVerdict, XShouldRetryDecides) {
  EXPECT_EQ(verdict_of({.status = 400, .should_retry = "true"}).next, Next::retry);
  EXPECT_EQ(verdict_of({.status = 500, .should_retry = "false"}).next, Next::deliver);
}

TEST(ReplyVerdict, ABadKeyOrExhaustedQuotaStopsTheEndpoint) {
  EXPECT_EQ(verdict_of(401, "").next, Next::stop);
  EXPECT_EQ(verdict_of(402, "").kind, Kind::quota);
  EXPECT_EQ(verdict_of(429, R"({"error":{"code":"insufficient_quota"}})").kind, Kind::quota);
  EXPECT_EQ(verdict_of(429, R"({"error":{"code":null,"type":"insufficient_quota"}})").kind,
            Kind::quota);
  EXPECT_EQ(verdict_of(400, R"({"error":{"code":"Arrearage"}})").kind, Kind::quota);
  EXPECT_EQ(verdict_of(400, R"({"error":{"code":"invalid_api_key"}})").next, Next::stop);
  EXPECT_EQ(
      verdict_of(400, R"([{"error":{"code":400,"details":[{"reason":"API_KEY_INVALID"}]}}])").next,
      Next::stop);
}

TEST(ReplyVerdict, ReadsTheThreeShapesOfAnErrorOnly) {
  EXPECT_EQ(verdict_of(400, R"({"error":{"message":"bad \"n\"","code":"x_y"}})").detail,
            "HTTP 400 (x_y): bad \"n\"");
  EXPECT_EQ(verdict_of(400, R"([{"error":{"message":"bad","code":400,"status":"S"}}])").detail,
            "HTTP 400 (400): bad");
  EXPECT_EQ(verdict_of(422, R"({"detail":"no such field"})").detail, "HTTP 422: no such field");
  EXPECT_EQ(verdict_of(422, R"({"detail":[{"msg":"m"}]})").detail, R"(HTTP 422: [{"msg":"m"}])");
  EXPECT_EQ(verdict_of(400, R"({"error":"in a word"})").detail, "HTTP 400: in a word");
  EXPECT_EQ(verdict_of(404, R"({"message":"m"})").detail, "HTTP 404: m");
  EXPECT_EQ(verdict_of(500, "up\r\nstream \x01").detail, "HTTP 500: up  stream  ");
  EXPECT_EQ(verdict_of(500, "").detail, "HTTP 500");
}

TEST(ReplyVerdict, DetailsAreShortAndUtf8) {
  std::string text(299, 'a');
  text += "\u00e4\u00e4\u00e4";
  const std::string detail = verdict_of(500, text).detail;
  EXPECT_LT(detail.size(), 330U);
  EXPECT_TRUE(simdjson::validate_utf8(detail));
  EXPECT_EQ(verdict_of(500, "\xff\xfe").detail, "HTTP 500: ??");
}

TEST(ReplyVerdict, DetailsDoNotSteerATerminal) {
  const std::string hostile = "a\x1b]0;b\x07\u009bc\u202ed\u2066e\u200ff\r\ng\x7f";
  const std::string detail =
      verdict_of(
          400, fmt::format(R"({{"error":{{"code":{0},"message":{0}}}}})", test::json_text(hostile)))
          .detail;
  EXPECT_EQ(detail, "HTTP 400 (a ]0;b  c d e f  g ): a ]0;b  c d e f  g ");
}

std::optional<milliseconds> wait_of(HttpReply reply) {
  return wanted_wait(reply, 784111777);
}

TEST(ReplyVerdict, ReadsWaitsInAllTheirForms) {
  EXPECT_EQ(wait_of({.retry_after = "3"}), milliseconds(3000));
  EXPECT_EQ(wait_of({.retry_after = "0.25"}), milliseconds(250));
  EXPECT_EQ(wait_of({.retry_after = "9", .retry_after_ms = "40"}), milliseconds(40));
  EXPECT_EQ(wait_of({.retry_after = "9", .retry_after_ms = "soon"}), milliseconds(9000));
  // 784111777 is Sun, 06 Nov 1994 08:49:37 GMT.
  EXPECT_EQ(wait_of({.retry_after = "Sun, 06 Nov 1994 08:49:47 GMT"}), milliseconds(10'000));
  EXPECT_EQ(wait_of({.retry_after = "Sun, 06 Nov 1994 08:49:47 GMT",
                     .date = "Sun, 06 Nov 1994 08:49:45 GMT"}),
            milliseconds(2000));
}

TEST(ReplyVerdict, ReadsUnitsListsAndOtherDates) {
  const auto ms = [](const char* text) { return wait_of({.retry_after = text}); };
  for (const char* const three :
       {"3s", "3 s", "3 seconds", "3sec", "3000ms", "3, 2", "2,3", " 3 ", "1994-11-06T08:49:40Z",
        "1994-11-06T09:49:40+01:00", "1994-11-06T03:49:40.5-0500", "1994-11-06 08:49:40"})
    EXPECT_EQ(ms(three), milliseconds(3000)) << three;
  EXPECT_EQ(ms("1m30s"), milliseconds(90'000));
  EXPECT_EQ(ms("2 hours"), milliseconds(7'200'000));
  EXPECT_EQ(ms("1h0m0.5s"), milliseconds(3'600'500));
  EXPECT_EQ(ms("86401"), milliseconds(86'401'000));
  EXPECT_EQ(ms("172800"), milliseconds(172'800'000));
  EXPECT_EQ(ms("Tue, 08 Nov 1994 08:49:37 GMT"), milliseconds(172'800'000));
  EXPECT_EQ(read_wait("1800000007", 1800000000), milliseconds(7000));
  EXPECT_EQ(read_wait("2099-01-01T00:00:00Z", 4070908800 - 60), milliseconds(60'000));
  EXPECT_GT(*read_wait("1e300", 0), milliseconds(1'000'000'000));
}

TEST(ReplyVerdict, IgnoresInvalidWaits) {
  for (const char* const value :
       {"0", "-5", "nan", "inf", "soon", "3 fortnights", "3, soon", "3 2", "s", ",",
        "2026-13-01T00:00:00Z", "Sun, 06 Nov 1994 08:49:30 GMT", ""})
    EXPECT_EQ(wait_of({.retry_after = value}), std::nullopt) << value;
  EXPECT_THAT(verdict_of({.status = 429, .retry_after = "so\x1b[2Jon"}).detail,
              HasSubstr("unreadable Retry-After: so [2Jon"));
}

TEST(ReplyVerdict, ReadsGeminisRetryDelay) {
  EXPECT_EQ(
      verdict_of(429, R"([{"error":{"code":429,"details":[{"retryDelay":"34.5s"}]}}])").retry_after,
      milliseconds(34'500));
  EXPECT_EQ(
      verdict_of(429, R"({"error":{"code":429,"details":[{"retryDelay":"soon"}]}})").retry_after,
      std::nullopt);
}

TEST(ReplyVerdict, Any200IsAnsweredIfNoCompletionIsExpected) {
  EXPECT_EQ(verdict_of({.status = 200, .body = "lines\n"}, false).kind, Kind::answered);
  EXPECT_EQ(verdict_of({.status = 404}, false).kind, Kind::rejected);
}

}  // namespace
}  // namespace sp2dpo::annotate
