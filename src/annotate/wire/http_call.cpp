// SPDX-License-Identifier: Apache-2.0
#include "http_call.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "curl_loop.hpp"
#include "no_sigpipe.hpp"
#include "reply_verdict.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/output_file.hpp>

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

/// Receives the body of a reply into a file. The body of an error stays with the transfer.
class Download {
 public:
  Download(const Server& server, Transfer& transfer, const std::filesystem::path& path)
      : server_(server), transfer_(transfer), file_(path) {}

  void attach() {
    curl_easy_setopt(transfer_.easy.get(), CURLOPT_WRITEFUNCTION, &Download::receive);
    curl_easy_setopt(transfer_.easy.get(), CURLOPT_WRITEDATA, this);
  }
  void finish() {
    flush();
    file_.commit();
  }
  /// What the disk refused.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static std::size_t receive(char* bytes, std::size_t /*one*/, std::size_t size, void* self) {
    auto& download = *static_cast<Download*>(self);
    long status = 0;
    curl_easy_getinfo(download.transfer_.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    constexpr long first_error = 300;
    constexpr std::size_t longest_error = 1 << 16;
    auto& body = download.transfer_.reply.body;
    if (status >= first_error) {
      if (body.size() < longest_error) body.append(bytes, size);
      return size;
    }
    try {
      download.take({bytes, size});
    } catch (...) {
      download.error_ = std::current_exception();
      return 0;
    }
    return size;
  }
  void take(std::string_view bytes) {
    line_ += bytes;
    const auto end = line_.rfind('\n');
    if (end == std::string::npos && line_.size() < transfer_.max_bytes) return;
    std::string rest = end == std::string::npos ? std::string() : line_.substr(end + 1);
    line_.resize(line_.size() - rest.size());
    flush();
    line_ = std::move(rest);
  }
  void flush() {
    server_.redact(line_);
    file_.write(line_);
    line_.clear();
  }

  const Server& server_;
  Transfer& transfer_;
  io::OutputFile file_;
  std::string line_;  // after the last line feed
  std::exception_ptr error_;
};

int check_interrupt(void* call, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const HttpCall*>(call)->interrupted() ? 1 : 0;
}

/// Prepares the body, the form or the method of a call.
void set_content(CURL* easy, const HttpCall& call, MimeForm& form) {
  if (!call.file.empty()) {
    form = make_mime_form(easy, call);
    curl_easy_setopt(easy, CURLOPT_MIMEPOST, form.get());
  } else if (call.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.data());
  } else {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
  }
}

/// Files may take longer than any reply: only a standstill ends their transfer.
void set_patience(CURL* easy, const EndpointOptions& options, const HttpCall& call) {
  if (!call.file.empty() || !call.save_to.empty()) {
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 0L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     static_cast<long>(std::max<std::int64_t>(1, options.timeout.count() / 1000)));
  }
  if (call.interrupted && call.method == "GET") {
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &check_interrupt);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &call);
  }
}

/// Waits. Returns false if the call was interrupted.
bool wait_for(milliseconds time, const HttpCall& call) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) {
    if (call.interrupted && call.interrupted()) return false;
    std::this_thread::sleep_for(std::min<milliseconds>(
        milliseconds(100),
        std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now())));
  }
  return true;
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
    set_content(easy, call, form);
    set_patience(easy, options, call);
    std::optional<Download> download;
    if (!call.save_to.empty()) download.emplace(server, transfer, call.save_to).attach();
    const CURLcode result = curl_easy_perform(easy);
    if (download) download->rethrow();
    ReplyVerdict verdict = server.conclude(transfer, result, nullptr, parser);
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &microseconds);

    if (download && verdict.kind == ChatReply::Kind::answered) download->finish();
    if (result == CURLE_ABORTED_BY_CALLBACK)
      return {.kind = ChatReply::Kind::transport, .attempts = attempt, .detail = "interrupted"};
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
    if (!wait_for(std::max(backoff(attempt), verdict.retry_after.value_or(milliseconds(0))), call))
      return {.kind = ChatReply::Kind::transport, .attempts = attempt, .detail = "interrupted"};
  }
}

}  // namespace sp2dpo::annotate
