// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "curl_loop.hpp"
#include "secret.hpp"
#include "verdict.hpp"

#include <sp2dpo/annotate/endpoint.hpp>

namespace sp2dpo::annotate {

/// One transfer: libcurl's handle, and what comes in through it.
struct Transfer {
  Easy easy;
  HttpReply reply{};
  std::size_t max_bytes = 0;
  char error[CURL_ERROR_SIZE] = {};
};

/// How a server is spoken to: its address, its key, and all that libcurl is told for safety.
class Server {
 public:
  /// Throws InvalidArgument for an option that cannot be.
  explicit Server(const EndpointOptions& options);

  /// Points a fresh transfer at base URL + path. It must not be moved any more. `json`: what it
  /// sends is JSON.
  void prepare(Transfer& transfer, std::string_view path, bool json) const;
  /// Reads what came, with the key blotted out, and judges it.
  [[nodiscard]] Verdict conclude(Transfer& transfer, CURLcode result, bool chat,
                                 simdjson::dom::parser& parser) const;
  /// The header `name` of what came, without the key.
  [[nodiscard]] std::string header(const Transfer& transfer, const char* name) const;

 private:
  EndpointOptions options_;
  std::string base_;
  bool this_machine_ = false;
  Secret secret_;
  Headers headers_;
  Headers json_headers_;
};

}  // namespace sp2dpo::annotate
