// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/pair.hpp>

namespace sp2dpo {

/// A judge (the annotator of its annotations) and the prompt variant under which it is asked.
struct AnnotatorId {
  std::string annotator;
  std::string prompt;

  friend bool operator==(const AnnotatorId&, const AnnotatorId&) = default;
};

/// The reason why an annotator gave no usable reply. A value, not an exception: a corpus of sixty
/// thousand pairs always has some, and each reaches the report.
struct AnnotationFailure {
  /// The cause of the failure.
  enum class Kind : std::uint8_t {
    refused,     ///< the judge declined to judge
    filtered,    ///< the provider's content filter withheld the reply
    truncated,   ///< the reply was cut off at its token limit
    empty,       ///< the reply has no text
    no_verdict,  ///< the text contains no verdict
    invalid,     ///< a field of the verdict breaks the schema: name, type or range
    ambiguous,   ///< several verdicts, or one that may be quoted from the pair
    encoding,    ///< invalid UTF-8, or half of a surrogate pair
    malformed,   ///< the reply is not a completion
    missing,     ///< no reply is on record
    transport,   ///< the judge could not be reached
    quota,       ///< the judge's account is exhausted
    rejected     ///< the judge's server refuses the question
  };

  Kind kind{};
  std::string detail;  ///< for people: what arrived instead
};

/// Returns the kind as tables and files spell it: `refused`, …, `no-verdict`, …
[[nodiscard]] constexpr std::string_view name(AnnotationFailure::Kind kind) {
  constexpr std::array<std::string_view, 13> names = {
      "refused",  "filtered",  "truncated", "empty",     "no-verdict", "invalid", "ambiguous",
      "encoding", "malformed", "missing",   "transport", "quota",      "rejected"};
  return names[static_cast<std::size_t>(kind)];
}

/// An annotation, or why it is missing.
using AnnotationOutcome = std::variant<Annotation, AnnotationFailure>;

/// One judge under one prompt. annotate() may block. It is safe to call from several threads at
/// once, and throws only for errors that no retry can repair (a wrong key, a model that does not
/// exist).
class Annotator {
 public:
  Annotator() = default;
  Annotator(const Annotator&) = delete;
  Annotator& operator=(const Annotator&) = delete;
  virtual ~Annotator() = default;

  /// The judge and prompt that its annotations name.
  [[nodiscard]] virtual AnnotatorId id() const = 0;
  /// Judges one pair.
  [[nodiscard]] virtual AnnotationOutcome annotate(const PreferencePair& pair) const = 0;
};

}  // namespace sp2dpo
