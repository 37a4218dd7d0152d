// SPDX-License-Identifier: Apache-2.0
#include "wire/reply_verdict.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Kind = ChatReply::Kind;
using Next = ReplyVerdict::Next;

ReplyVerdict verdict_of(HttpReply reply, bool chat = true) {
  simdjson::dom::parser parser;
  return classify(reply, chat, parser);
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

TEST(ReplyVerdict, AnInvalidUsageIsIgnored) {
  EXPECT_EQ(verdict_of(200, R"({"choices":[]})").usage, std::nullopt);
  EXPECT_EQ(verdict_of(200, R"({"choices":[],"usage":null})").usage, std::nullopt);
  EXPECT_EQ(
      verdict_of(200, R"({"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":2}})").usage,
      std::nullopt);
}

TEST(ReplyVerdict, AReplyWithInvalidTextIsStillAnswered) {
  EXPECT_EQ(verdict_of(200, "{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}").kind,
            Kind::answered);
  EXPECT_EQ(verdict_of(200, R"({"choices":[{"message":{"content":"\ud83d"}}]})").kind,
            Kind::answered);
}

TEST(ReplyVerdict, A200WithoutACompletionIsRetried) {
  for (const char* const body : {"", "<html>", "[]", "{}", "{\"choices\":3}", R"({"choices":[)"}) {
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

TEST(ReplyVerdict, IgnoresInvalidWaits) {
  for (const char* const value : {"0", "-5", "nan", "inf", "1e9", "86401", "soon", "3 s",
                                  "Sun, 06 Nov 1994 08:49:30 GMT", ""})
    EXPECT_EQ(wait_of({.retry_after = value}), std::nullopt) << value;
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
