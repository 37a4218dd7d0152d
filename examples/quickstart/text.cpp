// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <algorithm>

namespace quickstart {
namespace {

Sequence sequence(std::string_view prompt, std::string_view response) {
  Sequence result{.bytes = std::string(prompt) + response_begins, .response = prompt.size() + 1};
  result.bytes.append(response) += response_ends;
  return result;
}

}  // namespace

std::string render(const sp2dpo::Text& text) {
  if (const auto* plain = std::get_if<std::string>(&text)) return *plain;
  std::string result;
  for (const auto& message : std::get<std::vector<sp2dpo::Message>>(text)) {
    if (!result.empty()) result += '\n';
    result += message.role + ": " + message.content;
  }
  return result;
}

EncodedPairs encode(std::span<const sp2dpo::PreferencePair> pairs, std::size_t context) {
  EncodedPairs result;
  result.pairs.reserve(pairs.size());
  const std::size_t room = context - 2;  // without the two marks
  for (const auto& pair : pairs) {
    const std::string prompt = render(pair.prompt);
    const std::string chosen = render(pair.chosen);
    const std::string rejected = render(pair.rejected);

    const std::size_t longest = std::min(std::max(chosen.size(), rejected.size()), room);
    const std::size_t kept = std::min(prompt.size(), std::max(room / 2, room - longest));
    const std::string_view tail = std::string_view(prompt).substr(prompt.size() - kept);
    const auto head = [&](std::string_view response) { return response.substr(0, room - kept); };

    result.pairs.push_back({.id = pair.id,
                            .chosen = sequence(tail, head(chosen)),
                            .rejected = sequence(tail, head(rejected)),
                            .length_difference = std::ssize(chosen) - std::ssize(rejected)});
    const auto whole = 2 * std::ssize(prompt) + std::ssize(chosen) + std::ssize(rejected);
    const auto read = std::ssize(result.pairs.back().chosen.bytes) +
                      std::ssize(result.pairs.back().rejected.bytes) - 4;
    result.bytes += whole;
    result.bytes_dropped += whole - read;
    result.truncated += read < whole;
  }
  return result;
}

}  // namespace quickstart
