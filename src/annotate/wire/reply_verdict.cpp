// SPDX-License-Identifier: Apache-2.0
#include "reply_verdict.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include "error_body.hpp"
#include <curl/curl.h>
#include <fmt/format.h>

namespace sp2dpo::annotate {
namespace {

using ReplyKind = ChatReply::Kind;
using Next = ReplyVerdict::Next;
using std::chrono::milliseconds;

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool account_is_exhausted(int status, std::string_view code) {
  static constexpr std::array codes = {"insufficient_quota", "billing_hard_limit_reached",
                                       "billing_not_active", "Arrearage"};
  return status == 402 || std::ranges::find(codes, code) != codes.end();
}

bool is_retried(const HttpReply& reply) {
  if (reply.should_retry == "true") return true;
  if (reply.should_retry == "false") return false;
  static constexpr std::array passing = {408, 409, 425, 429};
  return std::ranges::find(passing, reply.status) != passing.end() ||
         (reply.status >= 500 && reply.status != 501 && reply.status != 505);
}

std::optional<Usage> read_usage(simdjson::dom::element document) {
  Usage usage;
  if (document["usage"]["prompt_tokens"].get(usage.prompt_tokens) != simdjson::SUCCESS ||
      document["usage"]["completion_tokens"].get(usage.completion_tokens) != simdjson::SUCCESS ||
      usage.prompt_tokens < 0 || usage.completion_tokens < 0)
    return std::nullopt;
  return usage;
}

/// Classifies a status of 400 and above, and an error under status 200.
ReplyVerdict judge_error(const HttpReply& reply, const std::optional<ErrorBody>& error) {
  ReplyVerdict verdict;
  verdict.detail = fmt::format("HTTP {}", reply.status);
  if (error && !error->code.empty()) verdict.detail += fmt::format(" ({})", error->code);
  const std::string text = error ? error->message : one_line(reply.body);
  if (!text.empty()) verdict.detail += ": " + text;

  const std::string_view code = error ? std::string_view(error->code) : std::string_view();
  if (account_is_exhausted(reply.status, code)) {
    verdict.kind = ReplyKind::quota;
    verdict.next = Next::stop;
  } else if (reply.status == 401 || (error && error->bad_key)) {
    verdict.kind = ReplyKind::rejected;
    verdict.next = Next::stop;
  } else if (is_retried(reply)) {
    verdict.kind = ReplyKind::transport;
    verdict.retry_after = wanted_wait(reply, std::time(nullptr));
    if (!verdict.retry_after && error) verdict.retry_after = error->retry_delay;
    verdict.next = reply.status == 429 || (reply.status == 503 && verdict.retry_after)
                       ? Next::slower
                       : Next::retry;
  } else {
    verdict.kind = ReplyKind::rejected;
  }
  return verdict;
}

}  // namespace

std::optional<milliseconds> wanted_wait(const HttpReply& reply, std::time_t now) {
  const auto sane = [](double seconds) -> std::optional<milliseconds> {
    if (!(seconds > 0 && seconds <= 86'400)) return std::nullopt;
    return milliseconds(static_cast<std::int64_t>(seconds * 1000));
  };
  if (const auto wait = number(reply.retry_after_ms))
    if (const auto waited = sane(*wait / 1000)) return waited;
  if (reply.retry_after.empty()) return std::nullopt;
  if (const auto wait = number(reply.retry_after)) return sane(*wait);
  const std::time_t until = curl_getdate(reply.retry_after.c_str(), nullptr);
  if (until == -1) return std::nullopt;
  const std::time_t sent = curl_getdate(reply.date.c_str(), nullptr);
  return sane(std::difftime(until, sent == -1 ? now : sent));
}

ReplyVerdict classify(const HttpReply& reply, bool chat, simdjson::dom::parser& parser) {
  if (reply.status >= 300 && reply.status < 400)
    return {.kind = ReplyKind::rejected,
            .detail = fmt::format("HTTP {}: redirects to {}, which is not followed", reply.status,
                                  reply.location.empty() ? "nowhere" : one_line(reply.location))};

  simdjson::dom::element document;
  const auto parsed = parser.parse(reply.body).get(document);
  const bool json = parsed == simdjson::SUCCESS;
  if (reply.status >= 400) return judge_error(reply, json ? read_error(document) : std::nullopt);
  if (!chat) return {.kind = ReplyKind::answered};

  // The reply arrived and was paid for, even if its text is invalid UTF-8 or has half of a
  // surrogate pair.
  if (parsed == simdjson::UTF8_ERROR || parsed == simdjson::STRING_ERROR)
    return {.kind = ReplyKind::answered};
  simdjson::dom::array choices;
  if (json && document["choices"].get(choices) == simdjson::SUCCESS)
    return {.kind = ReplyKind::answered, .usage = read_usage(document)};

  // Gateways report an upstream error under status 200.
  if (const auto error = json ? read_error(document) : std::nullopt) {
    HttpReply meant = reply;
    const auto code = number(error->code);
    meant.status = code && *code >= 400 && *code < 600 ? static_cast<int>(*code) : 502;
    ReplyVerdict verdict = judge_error(meant, error);
    verdict.detail += fmt::format(" (under HTTP {})", reply.status);
    return verdict;
  }
  return {.kind = ReplyKind::transport,
          .next = Next::retry,
          .detail = fmt::format("HTTP {} without a completion: {}", reply.status,
                                reply.body.empty() ? "nothing" : one_line(reply.body))};
}

}  // namespace sp2dpo::annotate
