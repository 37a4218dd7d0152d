// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/judge.hpp>
#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// Reports an endpoint that has stopped: a refused key, an exhausted quota, an outage.
struct EndpointStopped : Error {
  using Error::Error;
};

/// Asks a judge over the wire, one question at a time, for a program that needs a verdict now. It
/// stores nothing; run_panel() asks about a corpus. Borrows the endpoint, which several annotators
/// may share. Safe to use from several threads at once.
class ChatAnnotator : public Annotator {
 public:
  /// `order` applies to a blind prompt; empty: the chosen response first.
  ChatAnnotator(Judge judge, Prompt prompt, Endpoint& endpoint, std::optional<Order> order = {},
                std::int32_t sample = 0);

  [[nodiscard]] AnnotatorId id() const override;
  /// Asks once and blocks for the reply; wrap it in Retrying to retry. Throws EndpointStopped.
  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override;

 private:
  Judge judge_;
  Prompt prompt_;
  Endpoint& endpoint_;
  std::optional<Order> order_;
  std::int32_t sample_;
};

}  // namespace sp2dpo::annotate
