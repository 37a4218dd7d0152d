// SPDX-License-Identifier: Apache-2.0
#include "http_call.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "curl_loop.hpp"
#include "no_sigpipe.hpp"
#include "reply_verdict.hpp"

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using Next = ReplyVerdict::Next;

void check(const HttpCall& call) {
  detail::require(call.method == "GET" || call.method == "POST" || call.method == "DELETE",
                  "expected the method GET, POST or DELETE, got {}", call.method);
  detail::require(call.path.starts_with('/'), "expected a path that begins with /, got {}",
                  call.path);
}

/// Makes a form of the call's fields and file.
MimeForm make_mime_form(CURL* easy, const HttpCall& call) {
  MimeForm form(curl_mime_init(easy));
  for (const auto& [name, value] : call.fields) {
    curl_mimepart* const field = curl_mime_addpart(form.get());
    curl_mime_name(field, name.c_str());
    curl_mime_data(field, value.data(), value.size());
  }
  curl_mimepart* const file = curl_mime_addpart(form.get());
  curl_mime_name(file, "file");
  detail::require(curl_mime_filedata(file, call.file.c_str()) == CURLE_OK, "{} cannot be read",
                  call.file.string());
  return form;
}

}  // namespace

ChatReply make_call(const Server& server, const EndpointOptions& options, const HttpCall& call,
                    const std::function<milliseconds(int attempts)>& backoff) {
  const NoSigpipe guard;
  check(call);
  simdjson::dom::parser parser;
  for (int attempt = 1;; ++attempt) {
    Transfer transfer;
    server.prepare(transfer, call.path, call.file.empty() && call.method == "POST");
    CURL* const easy = transfer.easy.get();
    MimeForm form;
    if (!call.file.empty()) {
      form = make_mime_form(easy, call);
      curl_easy_setopt(easy, CURLOPT_MIMEPOST, form.get());
    } else if (call.method == "POST") {
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(call.body.size()));
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.data());
    } else {
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
    }
    const CURLcode result = curl_easy_perform(easy);
    ReplyVerdict verdict = server.conclude(transfer, result, false, parser);
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &microseconds);

    const bool again = verdict.next == Next::retry || verdict.next == Next::slower;
    const bool repeatable = call.method == "GET" || verdict.next == Next::slower;
    if (!again || !repeatable || attempt >= options.max_attempts ||
        verdict.retry_after > options.max_retry_after)
      return {.kind = verdict.kind,
              .http_status = transfer.reply.status,
              .body = std::move(transfer.reply.body),
              .request_id = server.header(transfer, "x-request-id"),
              .seconds = static_cast<double>(microseconds) * 1e-6,
              .attempts = attempt,
              .detail = std::move(verdict.detail)};
    std::this_thread::sleep_for(
        std::max(backoff(attempt), verdict.retry_after.value_or(milliseconds(0))));
  }
}

}  // namespace sp2dpo::annotate
