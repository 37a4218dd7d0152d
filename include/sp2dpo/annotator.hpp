// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include <sp2dpo/annotation.hpp>
#include <sp2dpo/pair.hpp>

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
    refused,    ///< the teacher declined to judge
    malformed,  ///< an answer came, but no verdict could be read from it
    missing,    ///< no answer is on record
    transport   ///< the teacher could not be reached
  };

  Kind kind{};
  std::string detail;  ///< for people: what came instead
};

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
