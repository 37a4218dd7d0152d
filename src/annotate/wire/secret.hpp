// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace sp2dpo::annotate {

/// The key of an endpoint. It leaves this object for the request's header and for nothing else.
class Secret {
 public:
  Secret() = default;
  /// Of the environment variable of that name; none for an empty name. Throws InvalidArgument,
  /// without the value, where the variable is not set or what it holds cannot stand in a header.
  static Secret from_environment(const std::string& variable);

  [[nodiscard]] bool empty() const noexcept { return key_.empty(); }
  [[nodiscard]] std::string bearer() const { return "Authorization: Bearer " + key_; }

  /// Replaces the key wherever it stands in `text`, also with JSON's or a URL's escapes in it. A
  /// key of fewer than `shortest` bytes is a placeholder ("none", "EMPTY") and no secret.
  void blot_out(std::string& text) const;
  static constexpr std::size_t shortest = 8;

 private:
  explicit Secret(std::string key) : key_(std::move(key)) {}

  std::string key_;
};

}  // namespace sp2dpo::annotate
