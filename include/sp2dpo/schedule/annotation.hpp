// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sp2dpo/enum_names.hpp>
#include <sp2dpo/schedule/category.hpp>

namespace sp2dpo {

/// The response that an annotator prefers.
enum class Preferred : std::uint8_t { chosen, rejected, tie };

/// The response that the annotator was shown first.
enum class Order : std::uint8_t { chosen_first, rejected_first };

template <>
inline constexpr std::array<std::string_view, 3> enum_names<Preferred>{"chosen", "rejected", "tie"};
template <>
inline constexpr std::array<std::string_view, 2> enum_names<Order>{"chosen_first",
                                                                   "rejected_first"};

/// One annotator's judgment of one pair under one prompt variant. An annotator is a judge: usually
/// an LLM (LLM-as-a-judge), sometimes a person or a reward model.
struct Annotation {
  std::string pair_id{};
  std::string annotator{};  ///< the judge's name
  std::string prompt{};     ///< the prompt variant
  Category category{};
  double magnitude{};   ///< in [0, 1]: how much better the preferred response is; 0 = equally good
  double confidence{};  ///< in [0, 1]: how sure the annotator is
  Preferred preferred = Preferred::chosen;  ///< chosen also if the annotator was told the winner
  std::optional<Order> order{};             ///< empty: not recorded
  std::int32_t sample = 0;                  ///< index of a repeated question
  std::string rationale{};
  std::string meta{};  ///< JSON text with the annotation's provenance, or empty
};

/// How far one annotation puts the chosen response ahead: s · magnitude · confidence · weight,
/// where s is +1 if the chosen response is preferred, −1 if the rejected one is, and 0 for a tie.
/// Low confidence pulls the gap towards 0.
[[nodiscard]] inline double signed_gap(const Annotation& annotation, double weight = 1.0) {
  const double size = annotation.magnitude * annotation.confidence * weight;
  switch (annotation.preferred) {
    case Preferred::chosen:
      return size;
    case Preferred::rejected:
      return -size;
    case Preferred::tie:
      break;
  }
  return 0.0;
}

/// The combined judgment of a panel on one pair: what an Aggregator returns and a BetaMapper takes.
struct SemanticGap {
  double value{};  ///< signed; negative if the panel prefers the rejected response
  Category category{};
  int n_annotators{};   ///< annotators with at least one annotation that counted
  int n_annotations{};  ///< annotations that counted
  double spread{};      ///< largest minus smallest annotator's gap: their disagreement
};

}  // namespace sp2dpo
