// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/judge.hpp>
#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/annotate/question.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo::annotate {

/// Returns the response that a blind prompt shows first when the order is random: the lowest bit of
/// the first byte of SHA-256 over `SEED\nPAIR_ID` decides.
[[nodiscard]] Order random_order(std::string_view pair_id, std::uint64_t seed);

/// One judge under one prompt, in one order and with one sample number. A panel asks each of its
/// members one question about each pair. A value that borrows judge, prompt and endpoint.
struct PanelMember {
  const Judge* judge = nullptr;
  const Prompt* prompt = nullptr;
  std::optional<Order> order{};  ///< of a blind prompt; empty: random_order() with `seed`
  std::int32_t sample = 0;
  std::uint64_t seed = 0;
  Endpoint* endpoint = nullptr;  ///< null: what the store lacks stays missing

  /// The judge and prompt that its annotations name.
  [[nodiscard]] AnnotatorId id() const { return {judge->name, prompt->name()}; }
  /// The question about the pair with this id.
  [[nodiscard]] Question about(std::string_view pair_id) const;
};

}  // namespace sp2dpo::annotate
