// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace sp2dpo::annotate {

/// Throws InvalidArgument, without repeating the text, unless it is empty or can be the name of an
/// environment variable.
void require_variable_name(std::string_view text);

/// An endpoint's key. It leaves this object only for a request's header.
class Secret {
 public:
  Secret() = default;
  /// Reads the environment variable of this name; an empty name gives an empty key. Throws
  /// InvalidArgument, without the value, if the variable is not set or a header cannot carry it.
  static Secret from_environment(const std::string& variable);

  [[nodiscard]] bool empty() const noexcept { return key_.empty(); }
  /// Returns the header that carries the key: `Authorization: Bearer KEY`, or `NAME: KEY`.
  [[nodiscard]] std::string header(const std::string& name) const {
    return name.empty() ? "Authorization: Bearer " + key_ : name + ": " + key_;
  }

  /// Replaces every occurrence of the key in `text`, including those with JSON or URL escapes. A
  /// key of fewer than `min_bytes` bytes counts as a placeholder ("none", "EMPTY") and is kept.
  void redact(std::string& text) const;
  static constexpr std::size_t min_bytes = 8;

 private:
  explicit Secret(std::string key) : key_(std::move(key)) {}

  std::string key_;
};

}  // namespace sp2dpo::annotate
