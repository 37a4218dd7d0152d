// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace sp2dpo {

/// One turn of a conversation.
struct Message {
  std::string role;
  std::string content;

  friend bool operator==(const Message&, const Message&) = default;
};

/// Plain text, or the turns of a conversation (TRL's standard and conversational formats).
using Text = std::variant<std::string, std::vector<Message>>;

/// Calls f with the plain text, or with the content of each message in turn.
template <class F>
void for_each_part(const Text& text, F f) {
  if (const auto* const plain = std::get_if<std::string>(&text)) {
    f(*plain);
    return;
  }
  for (const auto& message : std::get<std::vector<Message>>(text)) f(message.content);
}

/// Number of bytes in the text, or in the contents of all messages.
[[nodiscard]] inline std::size_t text_size(const Text& text) {
  std::size_t size = 0;
  for_each_part(text, [&](const std::string& part) { size += part.size(); });
  return size;
}

/// A prompt with its preferred (chosen) and its dispreferred (rejected) response.
struct PreferencePair {
  std::string id{};
  Text prompt{};
  Text chosen{};
  Text rejected{};
  /// Every other column of the record, by name, as JSON text: `{"score_chosen", "8.5"}`.
  std::map<std::string, std::string, std::less<>> columns{};
};

}  // namespace sp2dpo
