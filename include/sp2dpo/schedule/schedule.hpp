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
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/detail/id_index.hpp>

namespace sp2dpo {

/// One pair's beta, and the gap that it was made from.
struct ScheduleEntry {
  std::string id{};
  double beta{};
  std::optional<SemanticGap> gap{};  ///< empty: no annotation, and beta is the one stated for that
  Clip clipped = Clip::none;
  std::optional<double> weight{};  ///< factor of the pair's loss; empty: the schedule has none
};

namespace detail {

/// What must hold of an entry, wherever it lies: a beta finite and positive, a category that has a
/// name, and a weight, finite and not negative, where `first` of the schedule has one.
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

/// One beta a pair, in the order of the pairs: what training is given. Immutable once made: every
/// id is there once, every beta finite and positive, and all pairs have a weight or none has.
class Schedule {
 public:
  /// Throws InvalidArgument naming the pair whose beta is not finite and positive, whose weight is
  /// not finite and >= 0, or there for some pairs only, or that is there twice itself. Names of the
  /// entries' categories are found in `categories`.
  explicit Schedule(std::vector<ScheduleEntry> entries, Categories categories = {})
      : entries_(std::move(entries)), categories_(std::move(categories)), index_(entries_.size()) {
    detail::require(entries_.size() < detail::IdIndex::none,
                    "a schedule holds fewer than {} pairs, not {}", detail::IdIndex::none,
                    entries_.size());
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
      const auto& entry = entries_[i];
      detail::check(entry, entries_.front().id, has_weights(), categories_);
      detail::require(index_.insert(i, entries_, &ScheduleEntry::id),
                      "pair {} is in the schedule twice", entry.id);
    }
  }

  // As large as its data set: a copy would hardly be meant.
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;
  Schedule(Schedule&&) = default;
  Schedule& operator=(Schedule&&) = default;

  [[nodiscard]] std::span<const ScheduleEntry> entries() const noexcept { return entries_; }
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  /// visit(entry) for every entry in their order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const auto& entry : entries_) visit(entry);
  }

  /// The schedule after change(entry) of every entry.
  template <class Change>
  [[nodiscard]] Schedule changed(const Change& change) const {
    auto entries = entries_;
    for (auto& entry : entries) change(entry);
    return Schedule(std::move(entries), categories_);
  }

  /// Null where there is no such pair.
  [[nodiscard]] const ScheduleEntry* find(std::string_view id) const {
    const auto found = index_.find(id, entries_, &ScheduleEntry::id);
    return found == detail::IdIndex::none ? nullptr : &entries_[found];
  }

  [[nodiscard]] bool has_weights() const noexcept {
    return !entries_.empty() && entries_.front().weight.has_value();
  }

  /// The betas of these pairs, in this order: the join of a batch with its schedule. Throws
  /// InvalidArgument naming an id that the schedule lacks, or that is asked for twice.
  [[nodiscard]] std::vector<double> betas(std::span<const std::string> ids) const {
    return join(ids, [](const ScheduleEntry& entry) { return entry.beta; });
  }

  /// As betas(), the pairs' weights; throws InvalidArgument where the schedule has none.
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
      detail::require(fresh, "pair {} is in the batch twice, at {} and {}", id, first->second,
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
