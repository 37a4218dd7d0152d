// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/stats/dawid_skene.hpp>

namespace sp2dpo::stats {

namespace {

std::uint32_t label_of(const Annotation& vote, std::size_t n_categories) {
  const auto label = static_cast<std::uint32_t>(vote.category);
  detail::require(label < n_categories,
                  "pair {}: category number {} is outside the list of {} categories", vote.pair_id,
                  label, n_categories);
  return label;
}

}  // namespace

std::uint32_t DawidSkene::number_of(std::string_view annotator) const {
  const auto found = annotators_.find(annotator);
  detail::require(found != annotators_.end(), "annotator {} was not part of the fit", annotator);
  return found->second;
}

std::span<const double> DawidSkene::confusion(std::string_view annotator) const {
  return confusions_[number_of(annotator)];
}

std::vector<double> DawidSkene::posterior(std::span<const Label> labels) const {
  const std::size_t k = shares_.size();
  std::vector<double> result(k);
  for (std::size_t c = 0; c < k; ++c) {
    double log_likelihood = std::log(shares_[c]);
    for (const auto& [annotator, label] : labels)
      log_likelihood += std::log(confusions_[annotator][c * k + label]);
    result[c] = log_likelihood;
  }
  const double largest = *std::ranges::max_element(result);
  if (largest == -std::numeric_limits<double>::infinity()) return {};
  double sum = 0;
  for (double& value : result) sum += value = std::exp(value - largest);
  for (double& value : result) value /= sum;
  return result;
}

std::vector<double> DawidSkene::posterior(std::span<const Annotation> votes) const {
  std::vector<Label> labels;
  for (const auto& vote : votes)
    labels.emplace_back(number_of(vote.annotator), label_of(vote, shares_.size()));
  std::ranges::sort(labels);
  return posterior(std::span<const Label>(labels));
}

std::optional<Category> DawidSkene::operator()(std::span<const Annotation> votes) const {
  const auto probabilities = posterior(votes);
  if (probabilities.empty()) return std::nullopt;
  return static_cast<Category>(std::ranges::max_element(probabilities) - probabilities.begin());
}

void DawidSkeneFit::add(std::span<const Annotation> votes) {
  if (votes.empty()) return;
  std::vector<Label> labels;
  for (const auto& vote : votes) {
    const auto number = static_cast<std::uint32_t>(annotators_.size());
    const auto place = annotators_.try_emplace(vote.annotator, number).first;
    labels.emplace_back(place->second, label_of(vote, n_categories_));
  }
  std::ranges::sort(labels);
  ++patterns_[std::move(labels)];
}

DawidSkene DawidSkeneFit::fit(int iterations, double tolerance) const {
  detail::require(!patterns_.empty(), "fitting needs at least one annotation");
  const std::size_t k = n_categories_;
  DawidSkene model;
  // Annotators are sorted by name and patterns by annotator, so that sums ignore the input order.
  std::vector<std::uint32_t> renumbered(annotators_.size());
  for (const auto& [annotator, number] : annotators_) {
    renumbered[number] = static_cast<std::uint32_t>(model.annotators_.size());
    model.annotators_.emplace(annotator, renumbered[number]);
  }
  struct Pattern {
    std::vector<Label> labels;
    double pairs;
    std::vector<double> probabilities;  // [categories]
  };
  std::vector<Pattern> patterns;
  double n = 0;
  for (const auto& [labels, pairs] : patterns_) {
    Pattern pattern{labels, static_cast<double>(pairs), std::vector<double>(k)};
    for (auto& [annotator, label] : pattern.labels) {
      annotator = renumbered[annotator];
      pattern.probabilities[label] += 1 / static_cast<double>(labels.size());
    }
    std::ranges::sort(pattern.labels);
    n += pattern.pairs;
    patterns.push_back(std::move(pattern));
  }
  std::ranges::sort(patterns, {}, &Pattern::labels);

  while (!model.converged_ && model.iterations_ < iterations) {
    ++model.iterations_;
    model.shares_.assign(k, 0);
    model.confusions_.assign(renumbered.size(), std::vector<double>(k * k));
    for (const auto& pattern : patterns)
      for (std::size_t c = 0; c < k; ++c) {
        const double weight = pattern.pairs * pattern.probabilities[c];
        model.shares_[c] += weight / n;
        for (const auto& [annotator, label] : pattern.labels)
          model.confusions_[annotator][c * k + label] += weight;
      }
    for (auto& confusion : model.confusions_)
      for (std::size_t c = 0; c < k; ++c) {
        const auto row = std::span(confusion).subspan(c * k, k);
        double sum = 0;
        for (const double weight : row) sum += weight;
        // A category that the annotator never saw carries no information.
        for (double& weight : row) weight = sum > 0 ? weight / sum : 1 / static_cast<double>(k);
      }

    double moved = 0;
    for (auto& pattern : patterns) {
      auto probabilities = model.posterior(std::span<const Label>(pattern.labels));
      for (std::size_t c = 0; c < k; ++c)
        moved = std::max(moved, std::abs(probabilities[c] - pattern.probabilities[c]));
      pattern.probabilities = std::move(probabilities);
    }
    model.converged_ = moved <= tolerance;
  }
  return model;
}

}  // namespace sp2dpo::stats
