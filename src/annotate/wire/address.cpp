// SPDX-License-Identifier: Apache-2.0
#include "address.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include "curl_loop.hpp"
#include "secret.hpp"
#include "text/printable.hpp"
#include <arpa/inet.h>
#include <curl/curl.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

using detail::require;

std::string in_lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// Returns a part of a URL; empty if it is absent.
std::string part(CURLU* url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, 0) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
  return text;
}

/// Parses a URL. Messages do not quote it, since it may contain a secret.
std::unique_ptr<CURLU, FreeCurl> parse_url(const std::string& name, const std::string& text) {
  require(text.find_first_of(" \t\r\n") == std::string::npos,
          "{} is not a valid URL: it contains white space", name);
  require(text.find("://") != std::string::npos,
          "{} is not a valid URL: it must begin with https:// or http://", name);
  std::unique_ptr<CURLU, FreeCurl> url(curl_url());
  const CURLUcode code =
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME);
  require(code == CURLUE_OK, "{} is not a valid URL: {}", name, curl_url_strerror(code));
  require(part(url.get(), CURLUPART_USER).empty() && part(url.get(), CURLUPART_PASSWORD).empty(),
          "{} contains a user name or a password; name the environment variable of a key instead, "
          "and pass a proxy's password in the variable https_proxy",
          name);
  // curl would take the usual port.
  const auto host = text.find("://") + 3;
  const auto end = std::min(text.find_first_of("/?#", host), text.size());
  require(end == host || text[end - 1] != ':', "{} has no port after its colon", name);
  return url;
}

/// Returns true for a host that only this machine can be. A name that merely looks like an address
/// of this machine, such as 127.0.0.1.example.com, is another one.
bool is_this_machine(std::string host) {
  host = in_lower_case(std::move(host));
  if (host.ends_with('.')) host.pop_back();
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, host.c_str(), bytes.data()) == 1)
    return bytes[0] == 127 || std::ranges::all_of(bytes, [](unsigned char b) { return b == 0; });
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (inet_pton(AF_INET6, host.c_str(), bytes.data()) != 1) return false;
  const bool zeros = std::all_of(bytes.begin(), bytes.begin() + 10, [](auto b) { return b == 0; });
  const bool mapped = zeros && bytes[10] == 0xFF && bytes[11] == 0xFF && bytes[12] == 127;
  const bool loopback =
      zeros && std::all_of(bytes.begin() + 10, bytes.begin() + 15, [](auto b) { return b == 0; });
  return mapped || (loopback && bytes[15] <= 1);
}

/// Returns the query with its question mark. Only parameters that cannot be a secret are known.
std::string read_query(const std::string& query) {
  static constexpr std::array known = {"api-version", "api_version", "version",  "deployment",
                                       "model",       "region",      "provider", "project"};
  if (query.empty()) return {};
  for (std::size_t at = 0; at <= query.size();) {
    const auto end = std::min(query.find('&', at), query.size());
    const auto name = query.substr(at, std::min(query.find('=', at), end) - at);
    require(std::ranges::find(known, in_lower_case(name)) != known.end(),
            "base_url has a parameter after its ? that is not known to be free of secrets; known "
            "are {}. Name the environment variable of a key in key_variable, and the header that "
            "carries it in key_header",
            "api-version, version, deployment, model, region, provider, project");
    at = end + 1;
  }
  return "?" + query;
}

/// Returns the address without what requests append to it.
std::string read_base(std::string base) {
  constexpr std::string_view path = "/chat/completions";
  const auto without_slashes = [&] {
    while (base.ends_with('/')) base.pop_back();
  };
  without_slashes();
  while (base.ends_with(path)) {
    base.resize(base.size() - path.size());
    without_slashes();
  }
  for (const std::string_view other : {"/completions", "/responses", "/messages", "/embeddings"})
    require(!base.ends_with(other),
            "base_url ends in {}; expected the address of chat completions, up to and without {}",
            other, path);
  require(base.find("/v1/v1") == std::string::npos, "base_url has /v1 twice");
  return base;
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

void check_headers(const EndpointOptions& options) {
  static constexpr std::array own = {"accept", "content-type",      "content-length", "expect",
                                     "host",   "transfer-encoding", "connection",     "user-agent"};
  static constexpr std::array keys = {"authorization", "proxy-authorization", "api-key",
                                      "x-api-key",     "x-goog-api-key",      "cookie"};
  require(options.key_header.empty() || is_header_name(options.key_header),
          "key_header: expected the name of a header, such as api-key");
  for (const auto& [name, value] : options.headers) {
    require(is_header_name(name), "headers: \"{}\" is not the name of a header",
            text::one_line(name));
    const std::string lower = in_lower_case(name);
    require(std::ranges::find(own, lower) == own.end(), "headers: {} is set by the program", name);
    require(
        std::ranges::find(keys, lower) == keys.end() && lower != in_lower_case(options.key_header),
        "headers: {} would hold a key; name the key's environment variable in key_variable "
        "and its header in key_header",
        name);
    require(
        std::ranges::all_of(value, [](char c) { return (c >= ' ' && c != '\x7f') || c == '\t'; }),
        "headers: the value of {} must be ASCII without control characters", name);
  }
}

}  // namespace

Address read_address(const EndpointOptions& options) {
  init_curl();
  const auto url = parse_url("base_url", options.base_url);
  const std::string scheme = part(url.get(), CURLUPART_SCHEME);
  const std::string host = in_lower_case(part(url.get(), CURLUPART_HOST));
  require(scheme == "https" || scheme == "http", "base_url must be https or http, got {}",
          text::one_line(scheme));
  require(part(url.get(), CURLUPART_FRAGMENT).empty(),
          "base_url contains a #; name the environment variable of a key instead");
  Address address;
  address.query = read_query(part(url.get(), CURLUPART_QUERY));
  address.base = read_base(options.base_url.substr(0, options.base_url.find('?')));
  address.this_machine = is_this_machine(host);
  require(scheme == "https" || address.this_machine || options.allow_http,
          "base_url is http to {}, which would send key and texts in the clear: use https or set "
          "allow_http",
          text::one_line(host));
  if (!options.proxy.empty()) {
    const auto proxy = parse_url("proxy", options.proxy);
    require(scheme == "https" || options.allow_http ||
                is_this_machine(part(proxy.get(), CURLUPART_HOST)),
            "base_url is http through a proxy on another machine, which would send key and texts "
            "in the clear: use https, remove the proxy, or set allow_http");
  }
  check_headers(options);
  require_variable_name(options.key_variable);
  address.key_header = options.key_header;
  if (address.key_header.empty() && host.ends_with(".azure.com")) address.key_header = "api-key";
  return address;
}

}  // namespace sp2dpo::annotate
