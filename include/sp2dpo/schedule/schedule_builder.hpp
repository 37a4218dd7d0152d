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

#include <sp2dpo/schedule/detail/block_list.hpp>
#include <sp2dpo/schedule/detail/runs.hpp>
#include <sp2dpo/schedule/pair_ids.hpp>
#include <sp2dpo/schedule/schedule.hpp>

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
  explicit ScheduleBuilder(const std::vector<std::string>& pair_ids, Categories categories = {},
                           std::size_t most_in_memory = std::numeric_limits<std::size_t>::max())
      : ScheduleBuilder(PairIds(pair_ids), std::move(categories), most_in_memory) {}

  explicit ScheduleBuilder(PairIds pair_ids, Categories categories = {},
                           std::size_t most_in_memory = std::numeric_limits<std::size_t>::max())
      : ids_(std::move(pair_ids)),
        categories_(std::move(categories)),
        most_in_memory_(most_in_memory),
        last_(ids_.size(), none) {}

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
    if (counts_.size() <= vote.annotator) counts_.resize(vote.annotator + std::size_t{1});
    auto& by_prompt = counts_[vote.annotator];
    if (by_prompt.size() <= vote.prompt) by_prompt.resize(vote.prompt + std::size_t{1});
    ++by_prompt[vote.prompt];
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
    for_each_entry(aggregate, to_beta, missing, [&](std::string_view, ScheduleEntry* entry) {
      if (entry != nullptr) entries.push_back(std::move(*entry));
    });
    return Schedule(std::move(entries), categories_);
  }

  /// As build(), for a schedule that shall not be held: use(id, entry) for each pair in their
  /// order, where `entry` is null for a pair that is left out. Threads may take parts of the pairs,
  /// those with numbers from `first` to before `last`, at the same time.
  template <Aggregator A, BetaMapper M, class Use>
  void for_each_entry(const A& aggregate, const M& to_beta, Missing missing, const Use& use,
                      std::size_t first = 0,
                      std::size_t last = std::numeric_limits<std::size_t>::max()) const {
    ScheduleEntry entry;
    visit_pairs(
        first, std::min(last, ids_.size()),
        [&](std::string_view id, std::span<const Annotation> votes) {
          entry.gap = votes.empty() ? std::nullopt : std::optional<SemanticGap>(aggregate(votes));
          detail::require(entry.gap || missing.policy != Missing::Policy::error,
                          "pair {} has {} annotations, too few for a gap", id, votes.size());
          if (!entry.gap && missing.policy == Missing::Policy::drop) {
            use(id, static_cast<ScheduleEntry*>(nullptr));
            return;
          }
          entry.id = id;
          entry.clipped = Clip::none;
          if constexpr (ClippingMapper<M>)
            if (entry.gap) entry.clipped = to_beta.clip(*entry.gap);
          entry.beta = entry.gap ? to_beta(*entry.gap) : missing.beta;
          use(id, &entry);
        });
  }

  /// visit(votes) for every pair that has annotations, in the pairs' order: for what must see all
  /// of them before it can aggregate one pair's.
  template <class Visit>
  void for_each_pair(Visit visit) const {
    visit_pairs(0, ids_.size(), [&](std::string_view, std::span<const Annotation> votes) {
      if (!votes.empty()) visit(votes);
    });
  }

  [[nodiscard]] const PairIds& ids() const noexcept { return ids_; }
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  [[nodiscard]] bool has(std::string_view id) const { return find(id) != none; }
  [[nodiscard]] std::size_t n_annotations() const noexcept { return n_annotations_; }

  /// visit(annotator, prompt, how many annotations) for every annotator and prompt that has some.
  template <class Visit>
  void for_each_count(Visit visit) const {
    for (std::size_t i = 0; i < counts_.size(); ++i)
      for (std::size_t j = 0; j < counts_[i].size(); ++j)
        if (counts_[i][j] > 0) visit(annotators_[i], prompts_[j], counts_[i][j]);
  }

 private:
  static constexpr std::uint32_t none = PairIds::none;
  static constexpr std::size_t merged_at_once = std::size_t{1} << 14;  // votes from the file

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
    return ids_.find(id);
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
    constexpr std::size_t at_once = 4096;
    std::ranges::sort(touched_);
    std::vector<Vote> some, kept;
    for (const std::uint32_t pair : touched_) {
      const auto begin = some.size();
      append_from_memory(pair, pair == latest_ ? kept : some);
      for (auto i = begin; i < some.size(); ++i) some[i].link = pair;
      last_[pair] = none;
      if (some.size() < at_once) continue;
      runs_.append(some);
      some.clear();
    }
    if (!some.empty()) runs_.append(some);
    runs_.end_run();
    votes_.clear();
    touched_.clear();
    for (const Vote& vote : kept) push(latest_, vote);
    if (!kept.empty()) touched_.push_back(latest_);
  }

  /// visit(id, votes) for every pair, in their order.
  template <class Visit>
  void visit_pairs(std::size_t first, std::size_t last, const Visit& visit) const {
    constexpr auto pair_of = [](const Vote& vote) { return vote.link; };
    typename detail::Runs<Vote>::template Merge<decltype(pair_of)> merge(
        runs_, pair_of, static_cast<std::uint32_t>(first), merged_at_once);
    std::vector<Vote> votes;
    std::vector<Annotation> annotations;
    for (auto pair = static_cast<std::uint32_t>(first); pair < last; ++pair) {
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

  PairIds ids_;
  Categories categories_;
  std::size_t most_in_memory_;
  std::vector<std::uint32_t> last_;     // by pair: its last vote in memory
  std::vector<std::uint32_t> touched_;  // the pairs that have one
  std::uint32_t latest_ = none;         // the pair of the latest annotation
  detail::BlockList<Vote> votes_;
  detail::Runs<Vote> runs_;
  std::size_t n_annotations_ = 0;
  std::vector<std::vector<std::int64_t>> counts_;  // of annotations, by annotator and prompt
  Names annotators_;
  Names prompts_;
};

/// A schedule of these pairs from these annotations: ScheduleBuilder in one call.
template <Aggregator A, BetaMapper M>
[[nodiscard]] Schedule build_schedule(const std::vector<std::string>& pair_ids,
                                      std::span<const Annotation> annotations, const A& aggregate,
                                      const M& to_beta, Missing missing = {},
                                      Categories categories = {}) {
  ScheduleBuilder builder(pair_ids, std::move(categories));
  for (const auto& annotation : annotations) builder.add(annotation);
  return builder.build(aggregate, to_beta, missing);
}

}  // namespace sp2dpo
