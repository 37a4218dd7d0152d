// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo::stats {

/// Dawid and Skene's model (1979): every pair has one true category c, and annotator a reports
/// category k with probability P_a(k | c), independently for each annotation. The prompts of one
/// annotator are not independent in practice, so the posteriors are overconfident. Immutable once
/// fitted, so that several threads may query it.
class DawidSkene {
 public:
  /// Returns the probability of each category, given the annotations of one pair. Returns an empty
  /// vector if every category has probability zero. Throws InvalidArgument for an annotator that
  /// the fit did not see and for a category outside the list.
  [[nodiscard]] std::vector<double> posterior(std::span<const Annotation> votes) const;

  /// Returns the most probable category; the first of equally probable ones.
  [[nodiscard]] std::optional<Category> operator()(std::span<const Annotation> votes) const;

  /// Estimated share of each category.
  [[nodiscard]] std::span<const double> shares() const noexcept { return shares_; }
  /// Returns P_a(k | c) of one annotator as [c × k], row-major.
  [[nodiscard]] std::span<const double> confusion(std::string_view annotator) const;
  /// Number of iterations of expectation and maximisation.
  [[nodiscard]] int iterations() const noexcept { return iterations_; }
  /// True if the fit stopped by its tolerance.
  [[nodiscard]] bool converged() const noexcept { return converged_; }

 private:
  friend class DawidSkeneFit;
  using Label = std::pair<std::uint32_t, std::uint32_t>;  // annotator, category

  [[nodiscard]] std::vector<double> posterior(std::span<const Label> labels) const;
  [[nodiscard]] std::uint32_t number_of(std::string_view annotator) const;

  std::vector<double> shares_;
  std::vector<std::vector<double>> confusions_;  // [annotators]
  std::map<std::string, std::uint32_t, std::less<>> annotators_;
  int iterations_ = 0;
  bool converged_ = false;
};

/// Collects annotations pair by pair, then fits the model by expectation and maximisation, starting
/// from each pair's shares of votes. Pairs with equal annotations take the memory of one. The
/// result does not depend on the order of the pairs, and no random number enters. Not thread-safe.
class DawidSkeneFit {
 public:
  explicit DawidSkeneFit(std::size_t n_categories) : n_categories_(n_categories) {}

  /// Adds the annotations of one pair. Throws InvalidArgument for a category outside the list.
  void add(std::span<const Annotation> votes);

  /// Iterates until no probability moves by more than `tolerance`, at most `iterations` times.
  /// Throws InvalidArgument if no annotation was added.
  [[nodiscard]] DawidSkene fit(int iterations = 1000, double tolerance = 1e-9) const;

 private:
  using Label = DawidSkene::Label;

  std::size_t n_categories_;
  std::map<std::string, std::uint32_t, std::less<>> annotators_;
  std::map<std::vector<Label>, std::int64_t> patterns_;  // number of pairs with these labels
};

}  // namespace sp2dpo::stats
