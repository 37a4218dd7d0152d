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

/// Dawid and Skene's model (1979): a pair has one true category, and an annotator that sees the
/// category c names the category k with a probability of its own, each annotation independently of
/// the others. Prompts of one annotator are in truth not independent: take the probabilities as too
/// sure.
class DawidSkene {
 public:
  /// How probable each category is of a pair with these annotations; empty where no category can
  /// have led to them. Throws InvalidArgument for an annotator that was not there, or a category
  /// outside the list.
  [[nodiscard]] std::vector<double> posterior(std::span<const Annotation> votes) const;

  /// The most probable category, among equals the first.
  [[nodiscard]] std::optional<Category> operator()(std::span<const Annotation> votes) const;

  [[nodiscard]] std::span<const double> shares() const noexcept { return shares_; }
  /// [categories × categories], row by row: probability of the name k for the category c.
  [[nodiscard]] std::span<const double> confusion(std::string_view annotator) const;
  [[nodiscard]] int iterations() const noexcept { return iterations_; }
  [[nodiscard]] bool converged() const noexcept { return converged_; }

 private:
  friend class DawidSkeneFit;
  using Label = std::pair<std::uint32_t, std::uint32_t>;  // annotator, category

  [[nodiscard]] std::vector<double> posterior(std::span<const Label> labels) const;
  [[nodiscard]] std::uint32_t number_of(std::string_view annotator) const;

  std::vector<double> shares_;                   // of the categories
  std::vector<std::vector<double>> confusions_;  // by annotator
  std::map<std::string, std::uint32_t, std::less<>> annotators_;
  int iterations_ = 0;
  bool converged_ = false;
};

/// Collects annotations pair by pair and fits the model by expectation and maximisation, from each
/// pair's shares of votes on. Pairs with the same annotations are kept once; the result depends on
/// no order and no random number.
class DawidSkeneFit {
 public:
  explicit DawidSkeneFit(std::size_t n_categories) : n_categories_(n_categories) {}

  /// One pair's annotations. Throws InvalidArgument for a category outside the list.
  void add(std::span<const Annotation> votes);

  /// Until no probability moves by more than `tolerance`, or for so many iterations. Throws
  /// InvalidArgument without annotations.
  [[nodiscard]] DawidSkene fit(int iterations = 1000, double tolerance = 1e-9) const;

 private:
  using Label = DawidSkene::Label;

  std::size_t n_categories_;
  std::map<std::string, std::uint32_t, std::less<>> annotators_;
  std::map<std::vector<Label>, std::int64_t> patterns_;  // how many pairs have these labels
};

}  // namespace sp2dpo::stats
