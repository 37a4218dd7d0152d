// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "address.hpp"
#include "curl_loop.hpp"
#include "reply_verdict.hpp"
#include "secret.hpp"

#include <sp2dpo/annotate/endpoint_options.hpp>

namespace sp2dpo::annotate {

/// One transfer: libcurl's handle and the reply it receives.
struct Transfer {
  Easy easy;
  HttpReply reply{};
  std::size_t max_bytes = 0;
  std::string path{};
  char error[CURL_ERROR_SIZE] = {};
};

/// A server's address and key, and the safe settings of libcurl for it. Immutable.
class Server {
 public:
  /// Throws InvalidArgument for an invalid option.
  explicit Server(const EndpointOptions& options);

  /// Points a fresh transfer at base URL + path. The transfer must not be moved afterwards. `json`:
  /// it sends JSON.
  void prepare(Transfer& transfer, std::string_view path, bool json) const;
  /// Collects the reply of a finished transfer, redacts the key, and classifies it. `request`: the
  /// chat request; null if any document is expected.
  [[nodiscard]] ReplyVerdict conclude(Transfer& transfer, CURLcode result,
                                      const ChatRequest* request,
                                      simdjson::dom::parser& parser) const;
  /// Redacts the key in a text.
  void redact(std::string& text) const { secret_.redact(text); }
  /// Returns a header of the reply with the key redacted; empty if it is absent.
  [[nodiscard]] std::string header(const Transfer& transfer, const char* name) const;

 private:
  EndpointOptions options_;
  Address address_;
  Secret secret_;
  Headers headers_;
  Headers json_headers_;
};

}  // namespace sp2dpo::annotate
