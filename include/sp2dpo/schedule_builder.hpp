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
#include <utility>
#include <vector>

#include <sp2dpo/detail/id_index.hpp>
#include <sp2dpo/detail/runs.hpp>
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
  /// Holds up to `most_in_memory` annotations, and the rest in a temporary file without a name.
  /// Throws InvalidArgument naming an id that is there twice.
  explicit ScheduleBuilder(std::vector<std::string> pair_ids, Categories categories = {},
                           std::size_t most_in_memory = std::numeric_limits<std::size_t>::max())
      : ids_(std::move(pair_ids)),
        categories_(std::move(categories)),
        most_in_memory_(most_in_memory),
        index_(ids_.size()),
        last_(ids_.size(), none) {
    detail::require(ids_.size() < none, "a schedule holds fewer than {} pairs, not {}", none,
                    ids_.size());
    for (std::uint32_t i = 0; i < ids_.size(); ++i)
      detail::require(index_.insert(i, ids_), "pair {} is there twice", ids_[i]);
  }

  ScheduleBuilder(const ScheduleBuilder&) = delete;
  ScheduleBuilder& operator=(const ScheduleBuilder&) = delete;

  /// Throws InvalidArgument for a pair that is unknown, a magnitude or confidence outside [0, 1], a
  /// category outside the list, and a second annotation of one (pair, annotator, prompt, order,
  /// sample). Where the first of such two is in the temporary file already, and annotations of
  /// other pairs came between them, it is build() that throws.
  void add(const Annotation& annotation) {
    const std::uint32_t pair = find(annotation.pair_id);
    detail::require(pair != none, "annotation for the unknown pair {}", annotation.pair_id);
    for (const auto& [what, value] : {std::pair{"magnitude", annotation.magnitude},
                                      std::pair{"confidence", annotation.confidence}})
      detail::require(value >= 0 && value <= 1, "pair {}: {} must lie in [0, 1], not {}",
                      annotation.pair_id, what, value);
    (void)categories_.name(annotation.category);

    const Vote vote{last_[pair],
                    annotators_.number_of(annotation.annotator),
                    prompts_.number_of(annotation.prompt),
                    annotation.sample,
                    annotation.category,
                    annotation.preferred,
                    annotation.order,
                    annotation.magnitude,
                    annotation.confidence};
    for (std::uint32_t i = vote.link; i != none; i = votes_[i].link)
      require_other(pair, votes_[i], vote);
    ++n_annotations_;
    if (votes_.size() >= most_in_memory_) move_to_file();
    if (last_[pair] == none) touched_.push_back(pair);
    push(pair, vote);
    latest_ = pair;
  }

  /// Throws InvalidArgument naming the first pair without a gap where `missing` says so, or a pair
  /// whose beta comes out as no finite, positive number.
  template <Aggregator A, BetaMapper M>
  [[nodiscard]] Schedule build(const A& aggregate, const M& to_beta, Missing missing = {}) const {
    std::vector<ScheduleEntry> entries;
    entries.reserve(ids_.size());
    visit_pairs([&](const std::string& id, std::span<const Annotation> votes) {
      const auto gap = votes.empty() ? std::nullopt : std::optional<SemanticGap>(aggregate(votes));
      if (gap) {
        Clip clipped = Clip::none;
        if constexpr (ClippingMapper<M>) clipped = to_beta.clip(*gap);
        entries.push_back({id, to_beta(*gap), gap, clipped});
        return;
      }
      detail::require(missing.policy != Missing::Policy::error,
                      "pair {} has {} annotations, too few for a gap", id, votes.size());
      if (missing.policy == Missing::Policy::base_beta)
        entries.push_back({.id = id, .beta = missing.beta});
    });
    return Schedule(std::move(entries), categories_);
  }

  /// visit(votes) for every pair that has annotations, in the pairs' order: for what must see all
  /// of them before it can aggregate one pair's.
  template <class Visit>
  void for_each_pair(Visit visit) const {
    visit_pairs([&](const std::string&, std::span<const Annotation> votes) {
      if (!votes.empty()) visit(votes);
    });
  }

  [[nodiscard]] std::span<const std::string> ids() const noexcept { return ids_; }
  [[nodiscard]] bool has(std::string_view id) const { return find(id) != none; }
  [[nodiscard]] std::size_t n_annotations() const noexcept { return n_annotations_; }

 private:
  static constexpr std::uint32_t none = detail::IdIndex::none;

  /// One annotation.
  struct Vote {
    std::uint32_t link;  // in memory: the pair's vote before this one; in the file: the pair
    std::uint16_t annotator;
    std::uint16_t prompt;
    std::int32_t sample;
    Category category;
    Preferred preferred;
    std::optional<Order> order;
    double magnitude;
    double confidence;
  };

  class Names {
   public:
    std::uint16_t number_of(std::string_view name) {
      // A panel's rows often come in the same order for every pair.
      if (latest_ < names_.size() && names_[latest_] == name) return number(latest_);
      if (++latest_ >= names_.size()) latest_ = 0;
      if (latest_ < names_.size() && names_[latest_] == name) return number(latest_);
      const auto known = numbers_.find(name);
      if (known != numbers_.end()) return number(latest_ = known->second);
      detail::require(
          names_.size() <= std::numeric_limits<std::uint16_t>::max(),
          "there are more than 65536 names of annotators or prompts; \"{}\" is one more", name);
      latest_ = names_.size();
      names_.push_back(numbers_.emplace(name, latest_).first->first);
      return number(latest_);
    }

    [[nodiscard]] std::string_view operator[](std::size_t i) const { return names_[i]; }

   private:
    static std::uint16_t number(std::size_t i) { return static_cast<std::uint16_t>(i); }

    std::map<std::string, std::size_t, std::less<>> numbers_;
    std::vector<std::string_view> names_;
    std::size_t latest_ = 0;
  };

  [[nodiscard]] std::uint32_t find(std::string_view id) const {
    if (latest_ != none && ids_[latest_] == id) return latest_;
    return index_.find(id, ids_);
  }

  void require_other(std::uint32_t pair, const Vote& one, const Vote& vote) const {
    detail::require(one.annotator != vote.annotator || one.prompt != vote.prompt ||
                        one.order != vote.order || one.sample != vote.sample,
                    "pair {} has two annotations by {} under the prompt {} with the same order and "
                    "sample {}",
                    ids_[pair], annotators_[vote.annotator], prompts_[vote.prompt], vote.sample);
  }

  void push(std::uint32_t pair, Vote vote) {
    detail::require(votes_.size() < none, "fewer than {} annotations fit into memory", none);
    vote.link = std::exchange(last_[pair], static_cast<std::uint32_t>(votes_.size()));
    votes_.push_back(vote);
  }

  /// Puts the pair's votes in memory behind those in `votes`, in the order in which they came.
  void append_from_memory(std::uint32_t pair, std::vector<Vote>& votes) const {
    const auto from = votes.size();
    for (std::uint32_t i = last_[pair]; i != none; i = votes_[i].link) votes.push_back(votes_[i]);
    std::reverse(votes.begin() + static_cast<std::ptrdiff_t>(from), votes.end());
  }

  /// All but the latest pair's votes, of which more may follow: grouped by pair, a file's doubled
  /// annotations are thus found at once.
  void move_to_file() {
    std::ranges::sort(touched_);
    std::vector<Vote> run, kept;
    run.reserve(votes_.size());
    for (const std::uint32_t pair : touched_) {
      const auto begin = run.size();
      append_from_memory(pair, pair == latest_ ? kept : run);
      for (auto i = begin; i < run.size(); ++i) run[i].link = pair;
      last_[pair] = none;
    }
    if (!run.empty()) runs_.append(run);
    votes_.clear();
    touched_.clear();
    for (const Vote& vote : kept) push(latest_, vote);
    if (!kept.empty()) touched_.push_back(latest_);
  }

  /// visit(id, votes) for every pair, in their order.
  template <class Visit>
  void visit_pairs(const Visit& visit) const {
    constexpr auto pair_of = [](const Vote& vote) { return vote.link; };
    typename detail::Runs<Vote>::template Merge<decltype(pair_of)> merge(runs_, pair_of,
                                                                         most_in_memory_ / 4);
    std::vector<Vote> votes;
    std::vector<Annotation> annotations;
    for (std::uint32_t pair = 0; pair < ids_.size(); ++pair) {
      votes.clear();
      std::size_t sources = 0, source = runs_.size();
      merge.take(pair, [&](const Vote& vote, std::size_t run) {
        sources += std::exchange(source, run) != run;
        votes.push_back(vote);
      });
      append_from_memory(pair, votes);
      if (sources > 1 || (sources == 1 && last_[pair] != none))
        for (std::size_t i = 0; i < votes.size(); ++i)
          for (std::size_t j = 0; j < i; ++j) require_other(pair, votes[j], votes[i]);

      // The texts in it keep their memory from pair to pair.
      annotations.resize(votes.size());
      for (std::size_t i = 0; i < votes.size(); ++i) {
        const Vote& vote = votes[i];
        Annotation& annotation = annotations[i];
        annotation.pair_id = ids_[pair];
        annotation.annotator = annotators_[vote.annotator];
        annotation.prompt = prompts_[vote.prompt];
        annotation.category = vote.category;
        annotation.magnitude = vote.magnitude;
        annotation.confidence = vote.confidence;
        annotation.preferred = vote.preferred;
        annotation.order = vote.order;
        annotation.sample = vote.sample;
      }
      visit(ids_[pair], std::span<const Annotation>(annotations));
    }
  }

  std::vector<std::string> ids_;
  Categories categories_;
  std::size_t most_in_memory_;
  detail::IdIndex index_;
  std::vector<std::uint32_t> last_;     // by pair: its last vote in memory
  std::vector<std::uint32_t> touched_;  // the pairs that have one
  std::uint32_t latest_ = none;         // the pair of the latest annotation
  std::vector<Vote> votes_;
  detail::Runs<Vote> runs_;
  std::size_t n_annotations_ = 0;
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
