// SPDX-License-Identifier: Apache-2.0
#pragma once

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

/// Plain text, or the turns of a conversation (TRL's standard and conversational forms).
using Text = std::variant<std::string, std::vector<Message>>;

/// A prompt with the answer that was preferred and the one that was not.
struct PreferencePair {
  std::string id{};
  Text prompt{};
  Text chosen{};
  Text rejected{};
  /// Every other column of the row, by name, as JSON text: `{"score_chosen", "8.5"}`.
  std::map<std::string, std::string, std::less<>> columns{};
};

}  // namespace sp2dpo
