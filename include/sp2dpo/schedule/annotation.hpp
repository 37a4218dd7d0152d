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

/// Which answer an annotator holds to be the better one.
enum class Preferred : std::uint8_t { chosen, rejected, tie };

/// Which answer the annotator was shown first.
enum class Order : std::uint8_t { chosen_first, rejected_first };

template <>
inline constexpr std::array<std::string_view, 3> enum_names<Preferred>{"chosen", "rejected", "tie"};
template <>
inline constexpr std::array<std::string_view, 2> enum_names<Order>{"chosen_first",
                                                                   "rejected_first"};

/// What one annotator, under one prompt variant, said of one pair.
struct Annotation {
  std::string pair_id{};
  std::string annotator{};  ///< the teacher
  std::string prompt{};     ///< the prompt variant
  Category category{};
  double magnitude{};   ///< in [0, 1]: how far the better answer is ahead; 0 = not at all
  double confidence{};  ///< in [0, 1]: how sure the annotator is of its verdict
  Preferred preferred = Preferred::chosen;  ///< chosen also where the annotator was told the winner
  std::optional<Order> order{};             ///< empty: not recorded
  std::int32_t sample = 0;                  ///< number of a repeated question
  std::string rationale{};
  std::string meta{};  ///< JSON text of the annotation's provenance, or empty
};

/// How far one annotation puts the chosen answer ahead: s · magnitude · confidence · weight, where
/// s = +1, −1 or 0 as the chosen answer, the rejected one or neither is preferred. Low confidence
/// pulls towards 0.
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

/// What all annotators together say of one pair; the input of every BetaMapper.
struct SemanticGap {
  double value{};  ///< signed; negative where the panel prefers the rejected answer
  Category category{};
  int n_annotators{};   ///< annotators with at least one annotation that counted
  int n_annotations{};  ///< annotations that counted
  double spread{};      ///< largest minus smallest annotator's gap: their disagreement
};

}  // namespace sp2dpo
