// SPDX-License-Identifier: Apache-2.0
#include "finish_reason.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "text/printable.hpp"

namespace sp2dpo::annotate {
namespace {

/// Every reason that is known. A word that is not here never counts as complete.
constexpr std::array<std::pair<std::string_view, Finish>, 38> finish_words = {{
    {"stop", Finish::complete},
    {"eos", Finish::complete},
    {"eos_token", Finish::complete},
    {"stop_sequence", Finish::complete},
    {"end_turn", Finish::complete},
    {"complete", Finish::complete},

    {"content_filter", Finish::filtered},
    {"content_filtered", Finish::filtered},
    {"content_policy_violation", Finish::filtered},
    {"safety", Finish::filtered},
    {"sensitive", Finish::filtered},
    {"recitation", Finish::filtered},
    {"blocklist", Finish::filtered},
    {"prohibited_content", Finish::filtered},
    {"spii", Finish::filtered},
    {"guardrail_intervened", Finish::filtered},
    {"refusal", Finish::filtered},

    {"length", Finish::truncated},
    {"max_tokens", Finish::truncated},
    {"max_completion_tokens", Finish::truncated},
    {"max_output_tokens", Finish::truncated},
    {"model_context_window_exceeded", Finish::truncated},
    {"model_length", Finish::truncated},

    {"tool_calls", Finish::called},
    {"tool_call", Finish::called},
    {"tool_use", Finish::called},
    {"function_call", Finish::called},

    {"error", Finish::failed},
    {"network_error", Finish::failed},
    {"server_error", Finish::failed},
    {"internal_error", Finish::failed},
    {"insufficient_system_resource", Finish::failed},
    {"abort", Finish::failed},
    {"aborted", Finish::failed},
    {"cancelled", Finish::failed},
    {"canceled", Finish::failed},
    {"timeout", Finish::failed},
    {"overloaded", Finish::failed},
}};

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

}  // namespace

FinishReason finish_reason(simdjson::dom::element choice, std::span<const std::string> own) {
  simdjson::dom::element value;
  if (choice["finish_reason"].get(value) != simdjson::SUCCESS || value.is_null()) return {};
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS)
    return {Finish::unknown, text::one_line(simdjson::minify(value))};
  if (text.empty()) return {};
  const std::string word = in_lower_case(text);
  const auto is_word = [&](std::string_view other) { return in_lower_case(other) == word; };
  if (std::ranges::any_of(own, is_word)) return {Finish::complete, text::one_line(text)};
  const auto* const found =
      std::ranges::find(finish_words, word, [](const auto& row) { return row.first; });
  return {found == finish_words.end() ? Finish::unknown : found->second, text::one_line(text)};
}

}  // namespace sp2dpo::annotate
