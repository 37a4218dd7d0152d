// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/pair_ids.hpp>

namespace sp2dpo {

/// The place that an annotation was read from, for error messages.
struct Origin {
  std::string_view file{};
  std::int64_t line{};  ///< from 1; 0 = unknown
};

/// Stores the annotations of a corpus, added in any order, and returns them pair by pair, in the
/// order of the pairs. Keeps 32 bytes per annotation: the numbers that a gap is made of, but no
/// rationale and no meta. aggregate() makes gaps of it. A const VoteTable may be read from several
/// threads.
///
///     VoteTable votes(ids);
///     for (const auto& annotation : annotations) votes.add(annotation);
///     const Gaps gaps = aggregate(votes, Jmamp{});
class VoteTable {
 public:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  /// Holds up to `max_in_memory` annotations in memory and the rest, in sorted runs, in an unnamed
  /// temporary file. Throws InvalidArgument that names a duplicate id.
  explicit VoteTable(const std::vector<std::string>& pair_ids, Categories categories = {},
                     std::size_t max_in_memory = unlimited);
  explicit VoteTable(PairIds pair_ids, Categories categories = {},
                     std::size_t max_in_memory = unlimited);
  ~VoteTable();
  VoteTable(VoteTable&&) noexcept;
  VoteTable& operator=(VoteTable&&) noexcept;

  /// Throws InvalidArgument for an unknown pair, a magnitude or confidence outside [0, 1], a
  /// category outside the list, and a duplicate: a second annotation with the same pair, annotator,
  /// prompt, order and sample. If the first one is in the temporary file already, and annotations
  /// of other pairs came between the two, the duplicate is found when the pair is read.
  void add(const Annotation& annotation, const Origin& origin = {});

  /// Visits one pair, with its annotations in the order in which they were added. The arguments are
  /// valid during the call only.
  using Visit = std::function<void(std::string_view id, std::span<const Annotation> annotations)>;

  /// Visits the pairs with numbers in [first, last) in order, including pairs without annotations.
  /// Throws DataError with the file and line of a duplicate annotation, or InvalidArgument if its
  /// origin is unknown.
  void visit(const Visit& visit, std::size_t first = 0, std::size_t last = unlimited) const;

  /// Visits the annotations of every pair that has some, in the order of the pairs.
  void for_each_pair(const std::function<void(std::span<const Annotation>)>& visit) const;

  /// The ids of all pairs in order.
  [[nodiscard]] const PairIds& ids() const noexcept;
  /// The categories that the annotations refer to.
  [[nodiscard]] const Categories& categories() const noexcept;
  /// True if a pair has this id.
  [[nodiscard]] bool has(std::string_view id) const;
  /// Number of annotations added.
  [[nodiscard]] std::size_t n_annotations() const noexcept;

  /// Visits every annotator and prompt that occur together, with their number of annotations.
  using VisitCount =
      std::function<void(std::string_view annotator, std::string_view prompt, std::int64_t count)>;
  /// Calls `visit` once for each of them.
  void for_each_count(const VisitCount& visit) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo
