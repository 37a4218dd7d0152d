// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/schedule/pair.hpp>

namespace quickstart {

/// The whole vocabulary: bytes. Two control bytes that text does not use mark the answer's ends.
inline constexpr std::int64_t vocabulary = 256;
inline constexpr char answer_begins = '\x02';
inline constexpr char answer_ends = '\x03';

/// A prompt and one answer as the model reads them: prompt, `answer_begins`, answer, `answer_ends`.
struct Sequence {
  std::string bytes;
  std::size_t answer = 0;  ///< where the answer's first byte is
};

struct EncodedPair {
  std::string id;
  Sequence chosen;
  Sequence rejected;
  std::int64_t length_difference = 0;  ///< bytes of the chosen answer minus those of the rejected
};

struct EncodedPairs {
  std::vector<EncodedPair> pairs;
  std::size_t truncated = 0;       ///< pairs of which the context holds a part only
  std::int64_t bytes = 0;          ///< of all prompts and answers, a prompt counted once an answer
  std::int64_t bytes_dropped = 0;  ///< of these, what the context has no room for
};

/// Plain text as it is; a conversation with each turn's role before it.
[[nodiscard]] std::string render(const sp2dpo::Text& text);

/// Encodes pairs for a model that reads `context` bytes. Where a pair is longer, the prompt keeps
/// its tail, the same one for both answers, and an answer keeps its head; a prompt is cut to half
/// of the context before an answer loses anything.
[[nodiscard]] EncodedPairs encode(std::span<const sp2dpo::PreferencePair> pairs,
                                  std::size_t context);

}  // namespace quickstart
