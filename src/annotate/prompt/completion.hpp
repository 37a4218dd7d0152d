// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// A chat completion with a text in it.
struct Completion {
  std::string text;   ///< UTF-8; reasoning that the server sets apart is not in it
  std::string model;  ///< as returned; empty where it is not there
};

/// A failure where there is no text, or not the whole of it.
[[nodiscard]] std::variant<Completion, AnnotationFailure> read_completion(std::string_view body);

}  // namespace sp2dpo::annotate
