// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/detail/id_index.hpp>

namespace sp2dpo {

/// The beta of one pair, and the gap that it was mapped from.
struct ScheduleEntry {
  std::string id{};
  double beta{};
  std::optional<SemanticGap> gap{};  ///< empty: the pair has no gap, and Missing::beta is its beta
  Clip clipped = Clip::none;
  std::optional<double>
      weight{};  ///< factor of the pair's loss; empty: the schedule has no weights
};

namespace detail {

/// Throws InvalidArgument unless beta is finite and positive, the category has a name, and the
/// entry has a weight, finite and not negative, exactly if the schedule's entry `first` has one.
inline void check(const ScheduleEntry& entry, std::string_view first, bool weighted,
                  const Categories& categories) {
  require(std::isfinite(entry.beta) && entry.beta > 0,
          "pair {}: beta must be finite and positive, not {}", entry.id, entry.beta);
  if (entry.gap) (void)categories.name(entry.gap->category);
  require(entry.weight.has_value() == weighted, "pair {} has {} weight, unlike pair {}", entry.id,
          entry.weight ? "a" : "no", first);
  require(!entry.weight || (std::isfinite(*entry.weight) && *entry.weight >= 0),
          "pair {}: the weight must be finite and not negative, not {}", entry.id,
          entry.weight.value_or(0));
}

}  // namespace detail

/// The betas of a corpus in memory, one per pair, in the order of the pairs: the input of training.
/// Ids are unique, betas finite and positive, and either all pairs have a weight or none has. A
/// const Schedule may be read from several threads.
class Schedule {
 public:
  /// Takes the names of the entries' categories from `categories`. Throws InvalidArgument that
  /// names the pair whose beta is not finite and positive, whose weight is not finite and >= 0 or
  /// is present for some pairs only, or whose id is a duplicate.
  explicit Schedule(std::vector<ScheduleEntry> entries, Categories categories = {})
      : categories_(std::move(categories)), index_(entries.size()) {
    entries_.reserve(entries.size());
    for (auto& entry : entries) add(std::move(entry));
  }

  // A schedule is as large as its data set: an implicit copy would hardly be intended.
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;
  Schedule(Schedule&&) = default;
  Schedule& operator=(Schedule&&) = default;

  /// Appends an entry. Throws as the constructor does, and then leaves the schedule unchanged.
  void add(ScheduleEntry entry) {
    const bool first = entries_.empty();
    detail::check(entry, first ? entry.id : entries_.front().id,
                  first ? entry.weight.has_value() : has_weights(), categories_);
    detail::require(find(entry.id) == nullptr, "duplicate id: pair {} is in the schedule already",
                    entry.id);
    detail::require(size() < detail::IdIndex::none, "a schedule holds at most {} pairs",
                    detail::IdIndex::none);
    index_.make_room(entries_, &ScheduleEntry::id);
    entries_.push_back(std::move(entry));
    index_.insert(static_cast<std::uint32_t>(size() - 1), entries_, &ScheduleEntry::id);
  }

  /// All entries in order.
  [[nodiscard]] std::span<const ScheduleEntry> entries() const noexcept { return entries_; }
  /// The categories that the entries refer to.
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  /// Number of entries.
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  /// Calls visit(entry) for every entry in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const auto& entry : entries_) visit(entry);
  }

  /// Returns a copy in which change(entry) was applied to every entry.
  template <class Change>
  [[nodiscard]] Schedule changed(const Change& change) const {
    auto entries = entries_;
    for (auto& entry : entries) change(entry);
    return Schedule(std::move(entries), categories_);
  }

  /// Returns the pair's entry, or null if the schedule lacks the pair.
  [[nodiscard]] const ScheduleEntry* find(std::string_view id) const {
    const auto found = index_.find(id, entries_, &ScheduleEntry::id);
    return found == detail::IdIndex::none ? nullptr : &entries_[found];
  }

  /// True if the entries carry weights.
  [[nodiscard]] bool has_weights() const noexcept {
    return !entries_.empty() && entries_.front().weight.has_value();
  }

  /// Returns the betas of these pairs, in this order: the join of a batch with its schedule. Throws
  /// InvalidArgument that names an id that the schedule lacks, or that the batch repeats.
  [[nodiscard]] std::vector<double> betas(std::span<const std::string> ids) const {
    return join(ids, [](const ScheduleEntry& entry) { return entry.beta; });
  }

  /// Returns the pairs' weights, with the errors of betas(); also throws InvalidArgument if the
  /// schedule has no weights.
  [[nodiscard]] std::vector<double> weights(std::span<const std::string> ids) const {
    detail::require(has_weights(), "the schedule has no weights");
    return join(ids, [](const ScheduleEntry& entry) { return *entry.weight; });
  }

 private:
  template <class Value>
  std::vector<double> join(std::span<const std::string> ids, const Value& value) const {
    std::vector<double> result;
    result.reserve(ids.size());
    std::unordered_map<std::string_view, std::size_t> seen;
    for (const auto& id : ids) {
      const ScheduleEntry* entry = find(id);
      detail::require(entry != nullptr, "pair {} is not in the schedule of {} pairs", id, size());
      const auto [first, fresh] = seen.emplace(id, result.size());
      detail::require(fresh, "duplicate pair {} in the batch, at {} and {}", id, first->second,
                      result.size());
      result.push_back(value(*entry));
    }
    return result;
  }

  std::vector<ScheduleEntry> entries_;
  Categories categories_;
  detail::IdIndex index_;
};

}  // namespace sp2dpo
