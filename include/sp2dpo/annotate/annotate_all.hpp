// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/schedule/annotator.hpp>
#include <sp2dpo/schedule/pair.hpp>

namespace sp2dpo::annotate {

/// Receives what one annotator made of one pair.
using OutcomeSink =
    std::function<void(const PreferencePair&, const AnnotatorId&, const AnnotationOutcome&)>;

/// How many pairs were annotated, and with which outcome.
struct AnnotateCounts {
  std::int64_t pairs = 0;
  std::int64_t annotations = 0;
  std::int64_t failures = 0;  ///< over all annotators
};

/// Asks every annotator about every pair and hands each outcome to `sink`: pair by pair in the
/// order given, annotators in theirs. Works in the calling thread, one question after another;
/// run_panel() asks endpoints concurrently and stores what they reply. Passes on what an annotator
/// or the sink throws.
AnnotateCounts annotate_all(std::span<const Annotator* const> annotators,
                            std::span<const PreferencePair> pairs, const OutcomeSink& sink);

/// Asks about the pairs of a file, one pair in memory at a time. A pair whose columns an annotator
/// cannot use (ColumnError) is a bad row: throws DataError with file, line and column, or skips
/// the pair for all annotators if the reader is lenient.
AnnotateCounts annotate_all(std::span<const Annotator* const> annotators, io::PairReader& pairs,
                            const OutcomeSink& sink);

}  // namespace sp2dpo::annotate
