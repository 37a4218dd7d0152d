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

/// A teacher together with the prompt variant it is asked under.
struct AnnotatorId {
  std::string annotator;
  std::string prompt;

  friend bool operator==(const AnnotatorId&, const AnnotatorId&) = default;
};

/// Why an annotator gave no usable answer. A value, not an exception: a corpus of sixty thousand
/// pairs always has some, and each reaches the report.
struct AnnotationFailure {
  enum class Kind : std::uint8_t {
    refused,     ///< the teacher declined to judge
    filtered,    ///< the provider's content filter kept the answer back
    truncated,   ///< the answer was cut off at its limit of tokens
    empty,       ///< an answer without text
    no_verdict,  ///< a text, and no verdict in it
    invalid,     ///< a verdict that is not as its schema says: a field, its type or its range
    ambiguous,   ///< more than one verdict, or none that is surely the teacher's own
    encoding,    ///< no UTF-8, or half of a surrogate pair
    malformed,   ///< what came is no completion at all
    missing,     ///< no answer is on record
    transport,   ///< the teacher could not be reached
    quota,       ///< the teacher's account is exhausted
    rejected     ///< the teacher's server does not take the question
  };

  Kind kind{};
  std::string detail;  ///< for people: what came instead
};

/// `refused`, `filtered`, …, `no-verdict`, … for tables and files.
[[nodiscard]] constexpr std::string_view name(AnnotationFailure::Kind kind) {
  constexpr std::array<std::string_view, 13> names = {
      "refused",  "filtered",  "truncated", "empty",     "no-verdict", "invalid", "ambiguous",
      "encoding", "malformed", "missing",   "transport", "quota",      "rejected"};
  return names[static_cast<std::size_t>(kind)];
}

using AnnotationOutcome = std::variant<Annotation, AnnotationFailure>;

/// One teacher under one prompt. annotate() may block, and is safe to call from several threads at
/// once. It throws only for what no retry can mend (a wrong key, a model that does not exist).
class Annotator {
 public:
  Annotator() = default;
  Annotator(const Annotator&) = delete;
  Annotator& operator=(const Annotator&) = delete;
  virtual ~Annotator() = default;

  [[nodiscard]] virtual AnnotatorId id() const = 0;
  [[nodiscard]] virtual AnnotationOutcome annotate(const PreferencePair& pair) const = 0;
};

}  // namespace sp2dpo
