// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// The text of a chat completion.
struct Completion {
  std::string text;   ///< UTF-8, without reasoning that the server returns separately
  std::string model;  ///< as returned; empty if absent
};

/// Reads a chat completion. Returns a failure if its text is missing or incomplete; one without
/// text says where text was found instead. `finish_reasons` lists the server's own words for a
/// complete reply.
[[nodiscard]] std::variant<Completion, AnnotationFailure> read_completion(
    std::string_view body, std::span<const std::string> finish_reasons = {});

}  // namespace sp2dpo::annotate
