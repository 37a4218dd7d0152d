// SPDX-License-Identifier: Apache-2.0
#include "reply_verdict.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include "error_body.hpp"
#include "finish_reason.hpp"
#include "reply_body.hpp"
#include "retry_after.hpp"
#include "usage.hpp"
#include <fmt/format.h>

namespace sp2dpo::annotate {
namespace {

using ReplyKind = ChatReply::Kind;
using Next = ReplyVerdict::Next;
using std::chrono::milliseconds;

std::optional<int> status_in(std::string_view code) {
  int value = 0;
  const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), value);
  if (error != std::errc() || end != code.data() + code.size() || value < 400 || value >= 600)
    return std::nullopt;
  return value;
}

bool contains(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a + 32 == b); };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

/// True for a refusal that concerns the texts of one question: a filter, or too long a prompt.
bool is_about_question(int status, std::string_view code, std::string_view message) {
  static constexpr std::array signs = {"content_filter",
                                       "content filter",
                                       "content_policy",
                                       "content policy",
                                       "content management",
                                       "responsibleaipolicy",
                                       "data_inspection",
                                       "datainspection",
                                       "inappropriate",
                                       "moderation",
                                       "flagged",
                                       "safety",
                                       "sensitive",
                                       "prohibited",
                                       "invalid_prompt",
                                       "context_length",
                                       "context length",
                                       "context window",
                                       "context_window",
                                       "context size",
                                       "context_size",
                                       "maximum context",
                                       "max_model_len",
                                       "too long",
                                       "too_long",
                                       "too large",
                                       "too_large",
                                       "too many tokens",
                                       "token limit",
                                       "reduce the length",
                                       "string_above_max",
                                       "exceeds the maximum",
                                       "maximum number of tokens",
                                       "input length"};
  if (status == 413 || status == 451) return true;
  if (status == 401 || status == 404 || status == 405) return false;
  return std::ranges::any_of(signs, [&](std::string_view sign) {
    return contains(code, sign) || contains(message, sign);
  });
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

/// Classifies a status of 400 and above, and an error under status 200.
ReplyVerdict judge_error(const HttpReply& reply, const std::optional<ErrorBody>& error) {
  ReplyVerdict verdict;
  verdict.detail = fmt::format("HTTP {}", reply.status);
  if (error && !error->code.empty()) verdict.detail += fmt::format(" ({})", error->code);
  const std::string text = error ? error->message : one_line(reply.body);
  if (!text.empty()) verdict.detail += ": " + text;

  const std::string_view code = error ? std::string_view(error->code) : std::string_view();
  const bool about_question = is_about_question(reply.status, code, text);
  if (account_is_exhausted(reply.status, code)) {
    verdict.kind = ReplyKind::quota;
    verdict.next = Next::stop;
  } else if (reply.status == 401 || (error && error->bad_key)) {
    verdict.kind = ReplyKind::rejected;
    verdict.next = Next::stop;
  } else if (is_retried(reply) && !(about_question && contains(text, "too large"))) {
    verdict.kind = ReplyKind::transport;
    verdict.retry_after = wanted_wait(reply, std::time(nullptr));
    if (!verdict.retry_after && error) verdict.retry_after = error->retry_delay;
    if (!verdict.retry_after && !reply.retry_after.empty() &&
        !read_wait(reply.retry_after, std::time(nullptr)))
      verdict.detail += fmt::format(" (unreadable Retry-After: {})", one_line(reply.retry_after));
    verdict.next = reply.status == 429 || (reply.status == 503 && verdict.retry_after)
                       ? Next::slower
                       : Next::retry;
  } else {
    verdict.kind = ReplyKind::rejected;
    verdict.about_question = about_question;
  }
  return verdict;
}

/// Classifies an error that a gateway reports under status 200.
ReplyVerdict judge_hidden_error(const HttpReply& reply, const ErrorBody& error) {
  HttpReply meant = reply;
  meant.status = status_in(error.code)
                     .value_or(error.code == "rate_limit_exceeded"               ? 429
                               : is_about_question(0, error.code, error.message) ? 400
                                                                                 : 502);
  ReplyVerdict verdict = judge_error(meant, error);
  verdict.detail += fmt::format(" (under HTTP {})", reply.status);
  return verdict;
}

/// Returns the key under which another API than chat completions puts its text; empty if none.
std::string_view key_of_another_api(simdjson::dom::element document) {
  for (const char* const key : {"output_text", "output", "content", "candidates", "generated_text",
                                "response", "completion", "results", "message"}) {
    simdjson::dom::element value;
    if (document[key].get(value) == simdjson::SUCCESS && !value.is_null()) return key;
  }
  return {};
}

/// Returns the error inside a choice, if it has one.
std::optional<ErrorBody> error_in_choice(simdjson::dom::element choice) {
  if (auto error = error_in(choice)) return error;
  simdjson::dom::element message;
  return choice["message"].get(message) == simdjson::SUCCESS ? error_in(message) : std::nullopt;
}

/// Classifies a document under status 200.
ReplyVerdict judge_document(const HttpReply& reply, simdjson::dom::element document,
                            const Expected& expected) {
  const auto usage = read_usage(document, expected.request);
  const auto choices = choices_in(document);
  auto error = choices ? error_in(document) : read_error(document);
  ReplyVerdict verdict;
  if (!error && choices) {
    verdict = {.kind = ReplyKind::answered};
    for (const simdjson::dom::element choice : *choices) {
      error = error_in_choice(choice);
      if (error) break;
      const FinishReason reason = finish_reason(choice, expected.finish_reasons);
      if (reason.finish == Finish::failed)
        verdict = {.kind = ReplyKind::transport,
                   .next = Next::retry,
                   .detail = fmt::format("HTTP {}: finish_reason {}", reply.status, reason.word)};
    }
  } else if (!error) {
    const auto key = document.is_object() ? key_of_another_api(document) : std::string_view();
    verdict = key.empty()
                  ? ReplyVerdict{.kind = ReplyKind::transport,
                                 .next = Next::retry,
                                 .detail = fmt::format("HTTP {} without a completion: {}",
                                                       reply.status, one_line(reply.body))}
                  : ReplyVerdict{.kind = ReplyKind::rejected,
                                 .detail = fmt::format(
                                     "HTTP {}: expected \"choices\", got \"{}\": the address "
                                     "speaks another API than chat completions",
                                     reply.status, key)};
  }
  if (error) verdict = judge_hidden_error(reply, *error);
  verdict.usage = usage;
  return verdict;
}

}  // namespace

std::optional<milliseconds> wanted_wait(const HttpReply& reply, std::time_t now) {
  const auto above_0 = [](std::optional<milliseconds> wait) {
    return wait && wait->count() > 0 ? wait : std::nullopt;
  };
  if (const auto wait = above_0(read_wait(reply.retry_after_ms + "ms", now))) return wait;
  return above_0(read_wait(reply.retry_after, read_http_date(reply.date).value_or(now)));
}

ReplyVerdict classify(const HttpReply& reply, const Expected& expected,
                      simdjson::dom::parser& parser) {
  if (reply.status >= 300 && reply.status < 400)
    return {.kind = ReplyKind::rejected,
            .detail = fmt::format("HTTP {}: redirects to {}, which is not followed", reply.status,
                                  reply.location.empty() ? "nowhere" : one_line(reply.location))};
  if (reply.status < 400 && !expected.completion) return {.kind = ReplyKind::answered};

  const ReplyBody body = parse_reply_body(reply.body, parser);
  if (reply.status >= 400)
    return judge_error(reply, body.json ? read_error(*body.json) : std::nullopt);
  if (body.json) {
    auto verdict = judge_document(reply, *body.json, expected);
    if (verdict.kind == ReplyKind::answered && body.repaired && body.repairs.cut) {
      // The transfer lost the end: HTTP does not notice where a gzip stream ends early.
      verdict.kind = ReplyKind::transport;
      verdict.next = Next::retry;
      verdict.detail = fmt::format("HTTP {}: {}", reply.status, body.damage());
    }
    return verdict;
  }
  // It was paid for, although the request asks for one document.
  if (is_event_stream(reply.body)) return {.kind = ReplyKind::answered};
  return {.kind = ReplyKind::transport,
          .next = Next::retry,
          .detail = fmt::format("HTTP {} without a completion: {}", reply.status,
                                reply.body.empty() ? "nothing" : one_line(reply.body))};
}

Standing standing_of(std::string_view body, std::span<const std::string> finish_reasons) {
  static thread_local simdjson::dom::parser parser;
  const ReplyBody read = parse_reply_body(body, parser);
  if (!read.json) return {.counts = is_event_stream(body)};
  const auto choices = choices_in(*read.json);
  if (!choices || error_in(*read.json)) return {};
  Standing standing{.counts = true};
  for (const simdjson::dom::element choice : *choices) {
    const Finish finish = finish_reason(choice, finish_reasons).finish;
    if (finish == Finish::failed || finish == Finish::unknown || error_in_choice(choice)) return {};
    standing.unstated |= finish == Finish::unstated;
  }
  return standing;
}

}  // namespace sp2dpo::annotate
