// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "runs.hpp"
#include <fmt/format.h>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/detail/block_list.hpp>
#include <sp2dpo/schedule/vote_table.hpp>

namespace sp2dpo {

namespace detail {

constexpr std::uint32_t none = PairIds::none;

/// A vote in memory is linked to the pair's previous one, or to none.
struct InMemory {
  std::uint32_t previous;
};

/// A vote in the file names its pair.
struct InFile {
  std::uint32_t pair;
};

/// One annotation in 32 bytes.
template <class Link>
struct Vote : Link {
  std::uint32_t bits;  // from the lowest: preferred (2), category (8), order (2), cell (20)
  std::int32_t sample;
  std::uint32_t place;  // see Places
  double magnitude;
  double confidence;

  [[nodiscard]] Preferred preferred() const { return static_cast<Preferred>(bits & 3); }
  [[nodiscard]] Category category() const { return static_cast<Category>(bits >> 2 & 255); }
  [[nodiscard]] std::optional<Order> order() const {
    const auto order = bits >> 10 & 3;
    return order == 0 ? std::nullopt : std::optional(static_cast<Order>(order - 1));
  }
  [[nodiscard]] std::uint32_t cell() const { return bits >> 12; }
};
static_assert(sizeof(Vote<InMemory>) == 32 && sizeof(Vote<InFile>) == 32);

inline std::uint32_t packed(const Annotation& annotation, std::uint32_t cell) {
  const auto order = annotation.order ? static_cast<std::uint32_t>(*annotation.order) + 1 : 0;
  return static_cast<std::uint32_t>(annotation.preferred) |
         static_cast<std::uint32_t>(annotation.category) << 2 | order << 10 | cell << 12;
}

template <class To, class From>
Vote<To> relinked(const Vote<From>& vote, To link) {
  return {link, vote.bits, vote.sample, vote.place, vote.magnitude, vote.confidence};
}

/// Returns true if two votes of one pair have the same annotator, prompt, order and sample.
template <class A, class B>
bool duplicates(const Vote<A>& a, const Vote<B>& b) {
  return a.bits >> 10 == b.bits >> 10 && a.sample == b.sample;
}

/// Numbers the combinations of annotator and prompt, and counts their annotations.
class Cells {
 public:
  struct Cell {
    std::string_view annotator;
    std::string_view prompt;
    std::int64_t count = 0;
  };

  std::uint32_t number_of(std::string_view annotator, std::string_view prompt) {
    // A panel's annotations often have the same order for every pair.
    if (++latest_ >= cells_.size()) latest_ = 0;
    const auto is_latest = [&] {
      return latest_ < cells_.size() && cells_[latest_].annotator == annotator &&
             cells_[latest_].prompt == prompt;
    };
    if (!is_latest()) latest_ = look_up(annotator, prompt);
    return static_cast<std::uint32_t>(latest_);
  }

  void count(std::uint32_t cell) { ++cells_[cell].count; }

  [[nodiscard]] const Cell& operator[](std::uint32_t cell) const { return cells_[cell]; }
  [[nodiscard]] const std::vector<Cell>& all() const { return cells_; }

 private:
  std::size_t look_up(std::string_view annotator, std::string_view prompt) {
    constexpr std::size_t limit = std::size_t{1} << 20;  // 20 bits of a vote
    auto by_prompt = numbers_.find(annotator);
    if (by_prompt == numbers_.end()) by_prompt = numbers_.try_emplace(std::string(annotator)).first;
    const auto known = by_prompt->second.find(prompt);
    if (known != by_prompt->second.end()) return known->second;
    require(cells_.size() < limit,
            "more than {} combinations of annotator and prompt; {} under {} is one more", limit,
            annotator, prompt);
    const auto added = by_prompt->second.emplace(prompt, cells_.size()).first;
    cells_.push_back({by_prompt->first, added->first});
    return added->second;
  }

  std::map<std::string, std::map<std::string, std::size_t, std::less<>>, std::less<>> numbers_;
  std::vector<Cell> cells_;  // whose views point into numbers_
  std::size_t latest_ = 0;
};

/// Numbers the lines of several files from 1 on, so that a vote holds its origin in 4 bytes.
class Places {
 public:
  /// Returns 0 for an unknown origin, and for one beyond 2³² lines.
  std::uint32_t number_of(const Origin& origin) {
    if (origin.line <= 0) return 0;
    if (files_.empty() || files_.back().name != origin.file)
      files_.push_back({std::string(origin.file), last_});
    const std::int64_t number = files_.back().before + origin.line;
    if (number > std::numeric_limits<std::uint32_t>::max()) return 0;
    last_ = std::max(last_, number);
    return static_cast<std::uint32_t>(number);
  }

  [[nodiscard]] Origin operator[](std::uint32_t number) const {
    if (number == 0) return {};
    const auto after = std::ranges::lower_bound(files_, std::int64_t{number}, {}, &File::before);
    const File& file = *(after - 1);
    return {file.name, number - file.before};
  }

 private:
  struct File {
    std::string name;
    std::int64_t before;  // the last number of the files before it
  };

  std::vector<File> files_;
  std::int64_t last_ = 0;
};

}  // namespace detail

using namespace detail;

struct VoteTable::State {
  State(PairIds pair_ids, Categories list, std::size_t max_votes)
      : ids(std::move(pair_ids)),
        categories(std::move(list)),
        max_in_memory(max_votes),
        last(ids.size(), none) {}

  [[nodiscard]] std::uint32_t find(std::string_view id) const {
    if (latest != none && ids[latest] == id) return latest;
    return ids.find(id);
  }

  /// The sentence about `second`, a duplicate of `first`.
  template <class A, class B>
  [[nodiscard]] std::string describe(std::uint32_t pair, const Vote<A>& first,
                                     const Vote<B>& second) const {
    const Origin origin = places[first.place];
    const auto& cell = cells[second.cell()];
    return fmt::format(
        "pair {} has two annotations by {} under the prompt {} with the same order and sample {}{}",
        ids[pair], cell.annotator, cell.prompt, second.sample,
        origin.line > 0 ? fmt::format("; the first is {}:{}", origin.file, origin.line) : "");
  }

  void push(std::uint32_t pair, Vote<InMemory> vote) {
    detail::require(votes.size() < none, "at most {} annotations fit into memory", none);
    vote.previous = std::exchange(last[pair], static_cast<std::uint32_t>(votes.size()));
    votes.push_back(vote);
  }

  /// Appends the pair's votes in memory to `to`, in the order in which they were added.
  void append_from_memory(std::uint32_t pair, std::vector<Vote<InFile>>& to) const {
    const auto from = std::ssize(to);
    for (std::uint32_t i = last[pair]; i != none; i = votes[i].previous)
      to.push_back(relinked(votes[i], InFile{pair}));
    std::reverse(to.begin() + from, to.end());
  }

  /// Moves all votes but those of the latest pair to a new run. More votes of that pair may follow;
  /// in a file that is grouped by pair, add() thus finds every duplicate.
  void move_to_file() {
    constexpr std::size_t at_once = 4096;
    std::ranges::sort(touched);
    std::vector<Vote<InFile>> some, kept;
    for (const std::uint32_t pair : touched) {
      append_from_memory(pair, pair == latest ? kept : some);
      last[pair] = none;
      if (some.size() < at_once) continue;
      runs.append(some);
      some.clear();
    }
    if (!some.empty()) runs.append(some);
    runs.end_run();
    votes.clear();
    touched.clear();
    for (const auto& vote : kept) push(latest, relinked(vote, InMemory{none}));
    if (!kept.empty()) touched.push_back(latest);
  }

  /// Throws if two of the pair's votes are duplicates.
  void check_duplicates(std::uint32_t pair, std::span<const Vote<InFile>> of_pair) const {
    for (std::size_t i = 0; i < of_pair.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        if (!duplicates(of_pair[j], of_pair[i])) continue;
        const std::string sentence = describe(pair, of_pair[j], of_pair[i]);
        const Origin origin = places[of_pair[i].place];
        if (origin.line == 0) throw InvalidArgument(sentence);
        throw DataError(std::string(origin.file), origin.line, "", sentence);
      }
  }

  PairIds ids;
  Categories categories;
  std::size_t max_in_memory;
  std::vector<std::uint32_t> last;     // by pair: index of its last vote in memory
  std::vector<std::uint32_t> touched;  // the pairs with votes in memory
  std::uint32_t latest = none;         // the pair of the latest annotation
  detail::BlockList<Vote<InMemory>> votes;
  detail::Runs<Vote<InFile>> runs;
  std::size_t n_annotations = 0;
  Cells cells;
  Places places;
};

VoteTable::VoteTable(const std::vector<std::string>& pair_ids, Categories categories,
                     std::size_t max_in_memory)
    : VoteTable(PairIds(pair_ids), std::move(categories), max_in_memory) {}

VoteTable::VoteTable(PairIds pair_ids, Categories categories, std::size_t max_in_memory)
    : state_(std::make_unique<State>(std::move(pair_ids), std::move(categories), max_in_memory)) {}

VoteTable::~VoteTable() = default;
VoteTable::VoteTable(VoteTable&&) noexcept = default;
VoteTable& VoteTable::operator=(VoteTable&&) noexcept = default;

void VoteTable::add(const Annotation& annotation, const Origin& origin) {
  State& state = *state_;
  const std::uint32_t pair = state.find(annotation.pair_id);
  detail::require(pair != none, "annotation for the unknown pair {}", annotation.pair_id);
  for (const auto& [what, value] : {std::pair{"magnitude", annotation.magnitude},
                                    std::pair{"confidence", annotation.confidence}})
    detail::require(value >= 0 && value <= 1, "pair {}: {} must lie in [0, 1], not {}",
                    annotation.pair_id, what, value);
  (void)state.categories.name(annotation.category);

  const std::uint32_t cell = state.cells.number_of(annotation.annotator, annotation.prompt);
  const Vote<InMemory> vote{{none},
                            packed(annotation, cell),
                            annotation.sample,
                            state.places.number_of(origin),
                            annotation.magnitude,
                            annotation.confidence};
  for (std::uint32_t i = state.last[pair]; i != none; i = state.votes[i].previous)
    if (duplicates(state.votes[i], vote))
      throw InvalidArgument(state.describe(pair, state.votes[i], vote));
  ++state.n_annotations;
  state.cells.count(cell);
  if (state.votes.size() >= state.max_in_memory) state.move_to_file();
  if (state.last[pair] == none) state.touched.push_back(pair);
  state.push(pair, vote);
  state.latest = pair;
}

void VoteTable::visit(const Visit& visit, std::size_t first, std::size_t last) const {
  constexpr std::size_t merged_at_once = std::size_t{1} << 14;  // votes
  const State& state = *state_;
  using Merge = detail::Runs<Vote<InFile>>::Merge;
  Merge merge(state.runs, static_cast<std::uint32_t>(first), merged_at_once);
  std::vector<Vote<InFile>> votes;
  std::vector<Annotation> annotations;
  last = std::min(last, state.ids.size());
  for (auto pair = static_cast<std::uint32_t>(first); pair < last; ++pair) {
    votes.clear();
    std::size_t sources = 0, source = state.runs.size();
    merge.take(pair, [&](const Vote<InFile>& vote, std::size_t run) {
      sources += std::exchange(source, run) != run;
      votes.push_back(vote);
    });
    state.append_from_memory(pair, votes);
    if (sources > 1 || (sources == 1 && state.last[pair] != none))
      state.check_duplicates(pair, votes);

    // Annotations keep their texts' memory from pair to pair.
    annotations.resize(votes.size());
    for (std::size_t i = 0; i < votes.size(); ++i) {
      const auto& vote = votes[i];
      const auto& cell = state.cells[vote.cell()];
      Annotation& annotation = annotations[i];
      annotation.pair_id = state.ids[pair];
      annotation.annotator = cell.annotator;
      annotation.prompt = cell.prompt;
      annotation.category = vote.category();
      annotation.magnitude = vote.magnitude;
      annotation.confidence = vote.confidence;
      annotation.preferred = vote.preferred();
      annotation.order = vote.order();
      annotation.sample = vote.sample;
    }
    visit(state.ids[pair], annotations);
  }
}

void VoteTable::for_each_pair(
    const std::function<void(std::span<const Annotation>)>& visit_pair) const {
  visit([&](std::string_view, std::span<const Annotation> annotations) {
    if (!annotations.empty()) visit_pair(annotations);
  });
}

const PairIds& VoteTable::ids() const noexcept {
  return state_->ids;
}

const Categories& VoteTable::categories() const noexcept {
  return state_->categories;
}

bool VoteTable::has(std::string_view id) const {
  return state_->find(id) != none;
}

std::size_t VoteTable::n_annotations() const noexcept {
  return state_->n_annotations;
}

void VoteTable::for_each_count(const VisitCount& visit_count) const {
  for (const auto& cell : state_->cells.all())
    if (cell.count > 0) visit_count(cell.annotator, cell.prompt, cell.count);
}

}  // namespace sp2dpo
