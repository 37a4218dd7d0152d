// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "error_body.hpp"
#include <fmt/format.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

using detail::require;

/// Returns true for a file that holds a certificate.
bool holds_certificate(const std::string& file) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with("-----BEGIN") && line.find("CERTIFICATE") != std::string::npos)
      return true;
  return false;
}

void check(const EndpointOptions& options) {
  const auto is_limit = [](double limit) {
    return limit == 0 || (std::isfinite(limit) && limit >= 1);
  };
  require(is_limit(options.requests_per_minute),
          "requests_per_minute must be 0 (no limit) or at least 1, got {}",
          options.requests_per_minute);
  require(is_limit(options.tokens_per_minute),
          "tokens_per_minute must be 0 (no limit) or at least 1, got {}",
          options.tokens_per_minute);
  require(options.max_concurrent >= 1, "max_concurrent must be at least 1, got {}",
          options.max_concurrent);
  require(options.max_attempts >= 1, "max_attempts must be at least 1, got {}",
          options.max_attempts);
  require(options.max_failures >= 1, "max_failures must be at least 1, got {}",
          options.max_failures);
  require(options.max_reply_bytes > 0, "max_reply_bytes must be above 0");
  for (const auto& [name, time] :
       {std::pair("connect_timeout", options.connect_timeout),
        std::pair("timeout", options.timeout), std::pair("backoff", options.backoff),
        std::pair("max_backoff", options.max_backoff),
        std::pair("max_retry_after", options.max_retry_after),
        std::pair("max_outage", options.max_outage), std::pair("max_silence", options.max_silence)})
    require(time.count() > 0 && time <= std::chrono::hours(24 * 7),
            "{} must be above 0 and at most a week, got {} ms", name, time.count());
  require(options.ca_file.empty() || std::ifstream(options.ca_file).good(),
          "ca_file {} cannot be read", options.ca_file);
  require(options.ca_file.empty() || holds_certificate(options.ca_file),
          "ca_file {} holds no certificate in PEM form", options.ca_file);
}

template <class T>
void set(CURL* easy, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code != CURLE_OK)
    throw Error(fmt::format("libcurl does not take option {}: {}", static_cast<int>(option),
                            curl_easy_strerror(code)));
}

Headers header_list(const std::vector<std::string>& lines) {
  Headers list;
  for (const auto& line : lines) {
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
  }
  return list;
}

std::size_t receive(char* bytes, std::size_t /*one*/, std::size_t size, void* transfer) {
  auto& receiving = *static_cast<Transfer*>(transfer);
  if (receiving.reply.body.size() + size > receiving.max_bytes) return 0;
  receiving.reply.body.append(bytes, size);
  return size;
}

/// Returns true for an error that every request to this server would meet.
bool is_lasting(CURLcode code) {
  // CURLE_UNSUPPORTED_PROTOCOL is not one: stray bytes on a connection look like HTTP/0.9.
  static constexpr std::array lasting = {CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
                                         CURLE_SSL_CERTPROBLEM,          CURLE_SSL_CIPHER,
                                         CURLE_SSL_ISSUER_ERROR,         CURLE_URL_MALFORMAT};
  return std::ranges::find(lasting, code) != lasting.end();
}

}  // namespace

Server::Server(const EndpointOptions& options)
    : options_(options), address_(read_address(options)) {
  check(options);
  secret_ = Secret::from_environment(options.key_variable);
  std::vector<std::string> lines = {"Accept: application/json", "Expect:"};
  for (const auto& [name, value] : options.headers)
    lines.push_back(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  if (!secret_.empty()) lines.push_back(secret_.header(address_.key_header));
  headers_ = header_list(lines);
  lines.emplace_back("Content-Type: application/json");
  json_headers_ = header_list(lines);
}

void Server::prepare(Transfer& transfer, std::string_view path, bool json) const {
  transfer.easy.reset(curl_easy_init());
  if (!transfer.easy) throw Error("libcurl: no memory");
  transfer.max_bytes = options_.max_reply_bytes;
  CURL* const easy = transfer.easy.get();
  transfer.path = path;
  set(easy, CURLOPT_URL, address_.url(path).c_str());
  set(easy, CURLOPT_HTTPHEADER, (json ? json_headers_ : headers_).get());
  set(easy, CURLOPT_USERAGENT, "sp2dpo/" SP2DPO_VERSION);
  set(easy, CURLOPT_PRIVATE, &transfer);
  set(easy, CURLOPT_ERRORBUFFER, transfer.error);
  set(easy, CURLOPT_WRITEFUNCTION, &receive);
  set(easy, CURLOPT_WRITEDATA, &transfer);
  set(easy, CURLOPT_NOSIGNAL, 1L);

  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) set(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
  // A proxy must not see the headers, and requests to this machine bypass the environment's proxy.
  set(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  if (!options_.proxy.empty() || address_.this_machine)
    set(easy, CURLOPT_PROXY, options_.proxy.c_str());

  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  // A reply may take minutes, and routers forget idle connections.
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_ACCEPT_ENCODING, "");
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // Without TLS nothing is multiplexed, and waiting for the first reply only delays the others.
  set(easy, CURLOPT_PIPEWAIT, address_.base.starts_with("https") ? 1L : 0L);
}

std::string Server::header(const Transfer& transfer, const char* name) const {
  curl_header* found = nullptr;
  if (curl_easy_header(transfer.easy.get(), name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
    return {};
  std::string value = found->value;
  secret_.redact(value);
  return value;
}

ReplyVerdict Server::conclude(Transfer& transfer, CURLcode result, const ChatRequest* request,
                              simdjson::dom::parser& parser) const {
  auto& reply = transfer.reply;
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  reply.status = static_cast<int>(status);
  secret_.redact(reply.body);
  if (result == CURLE_OK) {
    reply.retry_after = header(transfer, "retry-after");
    reply.retry_after_ms = header(transfer, "retry-after-ms");
    reply.date = header(transfer, "date");
    reply.should_retry = header(transfer, "x-should-retry");
    reply.location = header(transfer, "location");
    ReplyVerdict verdict = classify(reply,
                                    {.completion = request != nullptr,
                                     .finish_reasons = options_.finish_reasons,
                                     .request = request},
                                    parser);
    if (reply.status == 404 || reply.status == 405) {
      verdict.detail += fmt::format("; asked at {}{}", one_line(address_.base), transfer.path);
      if (address_.base.find("/v1") == std::string::npos && address_.query.empty())
        verdict.detail += ". Does base_url lack its /v1?";
    }
    return verdict;
  }
  ReplyVerdict verdict{.kind = ChatReply::Kind::transport, .next = ReplyVerdict::Next::retry};
  std::string reason = transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(result);
  if (is_lasting(result)) {
    verdict.next = ReplyVerdict::Next::stop;
  } else if (result == CURLE_WRITE_ERROR) {
    verdict.next = ReplyVerdict::Next::deliver;
    reason = fmt::format("a reply of more than {} bytes", transfer.max_bytes);
  }
  secret_.redact(reason);
  verdict.detail = one_line(reason);
  return verdict;
}

}  // namespace sp2dpo::annotate
