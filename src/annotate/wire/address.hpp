// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <sp2dpo/annotate/endpoint_options.hpp>

namespace sp2dpo::annotate {

/// Where a server is.
struct Address {
  std::string base{};   ///< without a slash at the end and without a query
  std::string query{};  ///< with its question mark; may be empty
  std::string key_header{};
  bool this_machine = false;

  /// Returns the address of a path that begins with a slash.
  [[nodiscard]] std::string url(std::string_view path) const {
    return base + std::string(path) + query;
  }
};

/// Checks the address, the proxy, the headers and the name of the key's variable, and returns the
/// address. Throws InvalidArgument, without anything that may be a secret.
[[nodiscard]] Address read_address(const EndpointOptions& options);

}  // namespace sp2dpo::annotate
