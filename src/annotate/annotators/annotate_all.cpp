// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <variant>
#include <vector>

#include <sp2dpo/annotate/annotate_all.hpp>
#include <sp2dpo/annotate/annotators.hpp>

namespace sp2dpo::annotate {
namespace {

std::vector<AnnotatorId> ids_of(std::span<const Annotator* const> annotators) {
  std::vector<AnnotatorId> ids;
  ids.reserve(annotators.size());
  for (const auto* annotator : annotators) ids.push_back(annotator->id());
  return ids;
}

/// Annotates a pair completely before the sink sees any of it, so that a refused pair leaves no
/// annotation behind.
void annotate_pair(std::span<const Annotator* const> annotators, std::span<const AnnotatorId> ids,
                   const PreferencePair& pair, const OutcomeSink& sink, AnnotateCounts& counts) {
  std::vector<AnnotationOutcome> outcomes;
  outcomes.reserve(annotators.size());
  for (const auto* annotator : annotators) outcomes.push_back(annotator->annotate(pair));
  ++counts.pairs;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    ++(std::holds_alternative<Annotation>(outcomes[i]) ? counts.annotations : counts.failures);
    sink(pair, ids[i], outcomes[i]);
  }
}

}  // namespace

AnnotateCounts annotate_all(std::span<const Annotator* const> annotators,
                            std::span<const PreferencePair> pairs, const OutcomeSink& sink) {
  const auto ids = ids_of(annotators);
  AnnotateCounts counts;
  for (const auto& pair : pairs) annotate_pair(annotators, ids, pair, sink, counts);
  return counts;
}

AnnotateCounts annotate_all(std::span<const Annotator* const> annotators, io::PairReader& pairs,
                            const OutcomeSink& sink) {
  const auto ids = ids_of(annotators);
  AnnotateCounts counts;
  for (PreferencePair pair; pairs.next(pair);) {
    try {
      annotate_pair(annotators, ids, pair, sink, counts);
    } catch (const ColumnError& error) {
      pairs.refuse(error.column, error.reason);
    }
  }
  return counts;
}

}  // namespace sp2dpo::annotate
