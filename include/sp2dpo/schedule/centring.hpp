// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/panel_gaps.hpp>

/// Puts the annotators, who differ in level and in spread, on one scale before they are aggregated.
/// This takes a pass over all annotations:
///
///     AnswerCounts counts;
///     votes.for_each_pair([&](auto annotations) { counts.add(annotations); });
///     const Centred<Jmamp> aggregate{AnnotatorScales(Centring::center, counts)};
namespace sp2dpo {

/// How an annotator's gaps are changed. Every choice but `none` may change a gap's sign.
enum class Centring : std::uint8_t {
  none,
  center,  ///< shifted so that their mean is the mean of all annotators' means
  zscore,  ///< also scaled so that their standard deviation is the mean of all annotators'
  rank     ///< replaced by (below + equal / 2) / n among the annotator's own gaps, in (0, 1)
};
template <>
inline constexpr std::array<std::string_view, 4> enum_names<Centring>{"none", "center", "zscore",
                                                                      "rank"};

/// Counts how often each annotator gave each gap. The gap under one prompt is the mean over its
/// orders and samples. Memory grows with the number of distinct gaps.
class AnswerCounts {
 public:
  using Histogram = std::map<double, std::int64_t>;  ///< gap → count

  /// Adds one pair's annotations.
  void add(std::span<const Annotation> votes) {
    for (const auto& cell : panel_gaps(votes)) {
      auto place = by_annotator_.find(cell.annotator);
      if (place == by_annotator_.end())
        place = by_annotator_.try_emplace(std::string(cell.annotator)).first;
      ++place->second[cell.gap];
    }
  }

  /// The counts of every annotator seen.
  [[nodiscard]] const std::map<std::string, Histogram, std::less<>>& by_annotator() const noexcept {
    return by_annotator_;
  }

 private:
  std::map<std::string, Histogram, std::less<>> by_annotator_;
};

/// Maps each annotator's gaps to the common scale.
class AnnotatorScales {
 public:
  /// The distribution of one annotator's gaps.
  struct Scale {
    double mean{};                ///< of the annotator's gaps
    double deviation{};           ///< their population standard deviation; 0 if all are equal
    std::vector<double> gaps{};   ///< distinct and sorted; filled for `rank` only
    std::vector<double> below{};  ///< share of the gaps below each, then 1
  };

  AnnotatorScales() = default;
  AnnotatorScales(Centring how, const AnswerCounts& counts) : how_(how) {
    for (const auto& [annotator, gaps] : counts.by_annotator()) {
      Scale scale;
      double n = 0, squares = 0;
      for (const auto& [gap, times] : gaps) {
        n += static_cast<double>(times);
        scale.mean += static_cast<double>(times) * gap;
      }
      scale.mean /= n;
      double below = 0;
      for (const auto& [gap, times] : gaps) {
        squares += static_cast<double>(times) * (gap - scale.mean) * (gap - scale.mean);
        if (how != Centring::rank) continue;
        scale.gaps.push_back(gap);
        scale.below.push_back(below / n);
        below += static_cast<double>(times);
      }
      scale.below.push_back(1);
      if (gaps.size() > 1) scale.deviation = std::sqrt(squares / n);
      mean_ += scale.mean;
      deviation_ += scale.deviation;
      scales_.emplace(annotator, std::move(scale));
    }
    mean_ /= static_cast<double>(std::max<std::size_t>(1, scales_.size()));
    deviation_ /= static_cast<double>(std::max<std::size_t>(1, scales_.size()));
  }

  /// Maps a gap to the common scale. Throws InvalidArgument for an annotator that was not counted.
  [[nodiscard]] double operator()(std::string_view annotator, double gap) const {
    if (how_ == Centring::none) return gap;
    const auto found = scales_.find(annotator);
    detail::require(found != scales_.end(), "annotator {} has no scale", annotator);
    const Scale& scale = found->second;
    if (how_ == Centring::center) return mean_ + (gap - scale.mean);
    if (how_ == Centring::zscore)
      return scale.deviation > 0 ? mean_ + (gap - scale.mean) * (deviation_ / scale.deviation)
                                 : mean_;
    const auto [first, last] = std::equal_range(scale.gaps.begin(), scale.gaps.end(), gap);
    return (scale.below[static_cast<std::size_t>(first - scale.gaps.begin())] +
            scale.below[static_cast<std::size_t>(last - scale.gaps.begin())]) /
           2;
  }

  /// The change that is applied.
  [[nodiscard]] Centring how() const noexcept { return how_; }
  /// The scale of every annotator seen.
  [[nodiscard]] const std::map<std::string, Scale, std::less<>>& by_annotator() const noexcept {
    return scales_;
  }

 private:
  Centring how_ = Centring::none;
  std::map<std::string, Scale, std::less<>> scales_;
  double mean_ = 0;       // mean of the annotators' means
  double deviation_ = 0;  // mean of their deviations
};

/// Applies another aggregator to annotations on the common scale. Their magnitudes already include
/// the confidence and may exceed 1.
template <Aggregator A>
struct Centred {
  AnnotatorScales scales{};
  A aggregate{};

  [[nodiscard]] std::optional<SemanticGap> operator()(std::span<const Annotation> votes) const {
    std::vector<Annotation> scaled(votes.begin(), votes.end());
    for (const auto& cell : panel_gaps(votes)) {
      const double gap = scales(cell.annotator, cell.gap);
      for (auto& vote : scaled) {
        if (vote.annotator != cell.annotator || vote.prompt != cell.prompt) continue;
        vote.magnitude = std::abs(gap);
        vote.confidence = 1;
        vote.preferred = gap < 0 ? Preferred::rejected : Preferred::chosen;
      }
    }
    return aggregate(std::span<const Annotation>(scaled));
  }
};

}  // namespace sp2dpo
