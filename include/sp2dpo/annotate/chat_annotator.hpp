// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/annotate/teacher.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// An endpoint that sends nothing any more: a refused key, an exhausted quota, an outage.
struct EndpointStopped : Error {
  using Error::Error;
};

/// A teacher asked over the wire, one question after another: for a program that wants a verdict
/// now. It stores nothing; run_panel() asks a corpus. Borrows the endpoint, which several may
/// share, in several threads.
class ChatAnnotator : public Annotator {
 public:
  /// `order` of a blind prompt; empty = the chosen answer first.
  ChatAnnotator(Teacher teacher, Prompt prompt, Endpoint& endpoint, std::optional<Order> order = {},
                std::int32_t sample = 0);

  [[nodiscard]] AnnotatorId id() const override;
  /// Asks once and waits; Retrying asks again. Throws EndpointStopped.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  Teacher teacher_;
  Prompt prompt_;
  Endpoint& endpoint_;
  std::optional<Order> order_;
  std::int32_t sample_;
};

}  // namespace sp2dpo::annotate
