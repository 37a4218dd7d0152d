// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sp2dpo/schedule.hpp>

namespace sp2dpo {

/// What becomes of a pair for which there is no gap.
struct Missing {
  enum class Policy : std::uint8_t { error, drop, base_beta };

  Policy policy = Policy::error;
  double beta{};  ///< with base_beta: the beta such a pair gets
};

/// Collects annotations in any order, and makes a schedule of them in the order of the pairs. What
/// it holds of an annotation are the numbers that the gap is made of: 32 bytes, no text.
///
///     ScheduleBuilder builder(ids);
///     for (const auto& annotation : annotations) builder.add(annotation);
///     const Schedule schedule = builder.build(Jmamp{}, Linear{});
class ScheduleBuilder {
 public:
  /// Throws InvalidArgument naming an id that is there twice.
  explicit ScheduleBuilder(std::vector<std::string> pair_ids, Categories categories = {})
      : ids_(std::move(pair_ids)), categories_(std::move(categories)), last_(ids_.size(), none) {
    detail::require(ids_.size() < none, "a schedule holds fewer than {} pairs, not {}", none,
                    ids_.size());
    index_.reserve(ids_.size());
    for (std::size_t i = 0; i < ids_.size(); ++i)
      detail::require(index_.emplace(ids_[i], i).second, "pair {} is there twice", ids_[i]);
  }

  ScheduleBuilder(const ScheduleBuilder&) = delete;
  ScheduleBuilder& operator=(const ScheduleBuilder&) = delete;

  /// Throws InvalidArgument for a pair that is unknown, a magnitude or confidence outside [0, 1], a
  /// category outside the list, and a second annotation of one (pair, annotator, prompt, order,
  /// sample).
  void add(const Annotation& annotation) {
    const auto pair = index_.find(annotation.pair_id);
    detail::require(pair != index_.end(), "annotation for the unknown pair {}", annotation.pair_id);
    for (const auto& [what, value] : {std::pair{"magnitude", annotation.magnitude},
                                      std::pair{"confidence", annotation.confidence}})
      detail::require(value >= 0 && value <= 1, "pair {}: {} must lie in [0, 1], not {}",
                      annotation.pair_id, what, value);
    (void)categories_.name(annotation.category);

    const Vote vote{last_[pair->second],
                    number_of(annotators_, annotation.annotator),
                    number_of(prompts_, annotation.prompt),
                    annotation.sample,
                    annotation.category,
                    annotation.preferred,
                    annotation.order,
                    annotation.magnitude,
                    annotation.confidence};
    for (std::uint32_t i = vote.previous; i != none; i = votes_[i].previous) {
      const Vote& other = votes_[i];
      detail::require(
          other.annotator != vote.annotator || other.prompt != vote.prompt ||
              other.order != vote.order || other.sample != vote.sample,
          "pair {} has two annotations by {} under the prompt {} with the same order and "
          "sample {}",
          annotation.pair_id, annotation.annotator, annotation.prompt, annotation.sample);
    }
    detail::require(votes_.size() < none, "a schedule is made of fewer than {} annotations", none);
    last_[pair->second] = static_cast<std::uint32_t>(votes_.size());
    votes_.push_back(vote);
  }

  /// Throws InvalidArgument naming the first pair without a gap where `missing` says so, or a pair
  /// whose beta comes out as no finite, positive number.
  template <Aggregator A, BetaMapper M>
  [[nodiscard]] Schedule build(const A& aggregate, const M& to_beta, Missing missing = {}) const {
    std::vector<ScheduleEntry> entries;
    entries.reserve(ids_.size());
    std::vector<Annotation> votes;
    for (std::size_t pair = 0; pair < ids_.size(); ++pair) {
      collect(pair, votes);
      const auto gap =
          votes.empty() ? std::nullopt
                        : std::optional<SemanticGap>(aggregate(std::span<const Annotation>(votes)));
      if (gap) {
        Clip clipped = Clip::none;
        if constexpr (ClippingMapper<M>) clipped = to_beta.clip(*gap);
        entries.push_back({ids_[pair], to_beta(*gap), gap, clipped});
        continue;
      }
      detail::require(missing.policy != Missing::Policy::error,
                      "pair {} has {} annotations, too few for a gap", ids_[pair], votes.size());
      if (missing.policy == Missing::Policy::base_beta)
        entries.push_back({.id = ids_[pair], .beta = missing.beta});
    }
    return Schedule(std::move(entries), categories_);
  }

  /// visit(votes) for every pair that has annotations, in the pairs' order: for what must see all
  /// of them before it can aggregate one pair's.
  template <class Visit>
  void for_each_pair(Visit visit) const {
    std::vector<Annotation> votes;
    for (std::size_t pair = 0; pair < ids_.size(); ++pair) {
      collect(pair, votes);
      if (!votes.empty()) visit(std::span<const Annotation>(votes));
    }
  }

  [[nodiscard]] std::span<const std::string> ids() const noexcept { return ids_; }
  [[nodiscard]] std::size_t n_annotations() const noexcept { return votes_.size(); }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  /// One annotation; those of a pair form a list, from the last one to the first.
  struct Vote {
    std::uint32_t previous;
    std::uint16_t annotator;
    std::uint16_t prompt;
    std::int32_t sample;
    Category category;
    Preferred preferred;
    std::optional<Order> order;
    double magnitude;
    double confidence;
  };

  struct Names {
    std::map<std::string, std::uint16_t, std::less<>> number;
    std::vector<std::string_view> name;
  };

  static std::uint16_t number_of(Names& names, std::string_view name) {
    if (const auto known = names.number.find(name); known != names.number.end())
      return known->second;
    const std::size_t number = names.name.size();
    detail::require(number <= std::numeric_limits<std::uint16_t>::max(),
                    "there are more than 65536 names of annotators or prompts; \"{}\" is one more",
                    name);
    const auto [entry, fresh] = names.number.emplace(name, static_cast<std::uint16_t>(number));
    names.name.push_back(entry->first);
    return entry->second;
  }

  void collect(std::size_t pair, std::vector<Annotation>& votes) const {
    votes.clear();
    for (std::uint32_t i = last_[pair]; i != none; i = votes_[i].previous) {
      const Vote& vote = votes_[i];
      votes.push_back({.pair_id = ids_[pair],
                       .annotator = std::string(annotators_.name[vote.annotator]),
                       .prompt = std::string(prompts_.name[vote.prompt]),
                       .category = vote.category,
                       .magnitude = vote.magnitude,
                       .confidence = vote.confidence,
                       .preferred = vote.preferred,
                       .order = vote.order,
                       .sample = vote.sample});
    }
    std::ranges::reverse(votes);
  }

  std::vector<std::string> ids_;
  Categories categories_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::vector<std::uint32_t> last_;  // by pair: its last vote
  std::vector<Vote> votes_;
  Names annotators_;
  Names prompts_;
};

/// A schedule of these pairs from these annotations: ScheduleBuilder in one call.
template <Aggregator A, BetaMapper M>
[[nodiscard]] Schedule build_schedule(std::vector<std::string> pair_ids,
                                      std::span<const Annotation> annotations, const A& aggregate,
                                      const M& to_beta, Missing missing = {},
                                      Categories categories = {}) {
  ScheduleBuilder builder(std::move(pair_ids), std::move(categories));
  for (const auto& annotation : annotations) builder.add(annotation);
  return builder.build(aggregate, to_beta, missing);
}

}  // namespace sp2dpo
