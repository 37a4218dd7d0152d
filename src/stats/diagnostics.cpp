// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <vector>

#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/stats/diagnostics.hpp>
#include <sp2dpo/stats/rank_correlation.hpp>

namespace sp2dpo::stats {

namespace {

struct Share {
  std::int64_t n = 0;
  std::int64_t yes = 0;

  void count(bool is) {
    ++n;
    yes += is;
  }
  [[nodiscard]] Estimate estimate(const char* reason) const {
    return n == 0 ? Estimate::undefined(reason, 0)
                  : Estimate::of(static_cast<double>(yes) / static_cast<double>(n), n);
  }
};

int sign(double value) {
  return (value > 0) - (value < 0);
}

/// Running counts of one annotator.
struct Tally {
  std::int64_t annotations = 0;
  std::int64_t judgments = 0;
  std::set<std::string, std::less<>> prompts{};
  Share positional{}, first{}, longer{};
  std::vector<double> gaps{}, lengths{};  // [pairs]
  std::vector<double> own{}, others{};    // [pairs that others judged as well]
};

/// Adds the annotations of one judgment.
void add_judgment(Tally& tally, std::span<const Annotation> votes, double length) {
  ++tally.judgments;
  if (!tally.prompts.contains(votes.front().prompt)) tally.prompts.insert(votes.front().prompt);
  std::array<std::vector<double>, 2> by_order;
  for (const auto& vote : votes) {
    ++tally.annotations;
    const int verdict = sign(signed_gap(vote));
    if (verdict != 0 && length != 0) tally.longer.count((verdict > 0) == (length > 0));
    if (!vote.order) continue;
    by_order[static_cast<std::size_t>(*vote.order)].push_back(signed_gap(vote));
    if (verdict != 0) tally.first.count((verdict > 0) == (*vote.order == Order::chosen_first));
  }
  if (by_order[0].empty() || by_order[1].empty()) return;
  for (auto& gaps : by_order)
    std::ranges::sort(gaps);  // makes sums independent of the file's order
  tally.positional.count(sign(Mean{}(by_order[0])) == sign(Mean{}(by_order[1])));
}

Diagnostics finish(const Tally& tally, std::int64_t n_pairs, bool lengths_known) {
  Diagnostics result{.annotations = tally.annotations};
  const auto asked = n_pairs * std::ssize(tally.prompts);
  result.parse_rate =
      Estimate::of(static_cast<double>(tally.judgments) / static_cast<double>(asked), asked);
  result.positional_agreement = tally.positional.estimate("no question was asked in both orders");
  result.first_preferred = tally.first.estimate("no verdict records an order");
  const auto* const unknown = "the lengths of the responses are unknown";
  result.longer_preferred = tally.longer.estimate(
      lengths_known ? "no verdict compares responses of different lengths" : unknown);
  result.length_correlation =
      lengths_known ? spearman(tally.gaps, tally.lengths) : Estimate::undefined(unknown, 0);
  result.leave_one_out = spearman(tally.own, tally.others);
  const auto n = std::ssize(tally.own);
  if (n == 0) {
    result.mean_shift = Estimate::undefined("no other annotator judged the same pairs", 0);
  } else {
    double sum = 0;
    for (std::size_t i = 0; i < tally.own.size(); ++i) sum += tally.own[i] - tally.others[i];
    result.mean_shift = Estimate::of(sum / static_cast<double>(n), n);
  }
  return result;
}

}  // namespace

std::map<std::string, Diagnostics> diagnose(std::span<const Annotation> annotations,
                                            const DiagnosticsOptions& options) {
  std::vector<const Annotation*> sorted;
  sorted.reserve(annotations.size());
  for (const auto& annotation : annotations) sorted.push_back(&annotation);
  const auto judgment_of = [](const Annotation* vote) {
    return std::tie(vote->pair_id, vote->annotator, vote->prompt);
  };
  std::ranges::sort(sorted, {}, judgment_of);

  std::map<std::string, Tally, std::less<>> tallies;
  std::int64_t n_pairs = 0;
  std::vector<Annotation> votes;
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    ++n_pairs;
    votes.clear();
    for (; end < sorted.size() && sorted[end]->pair_id == sorted[begin]->pair_id; ++end)
      votes.push_back(*sorted[end]);
    const double length =
        options.length_difference ? options.length_difference(votes.front().pair_id) : 0;
    for (std::size_t from = 0, to = 0; from < votes.size(); from = to) {
      while (to < votes.size() && judgment_of(&votes[to]) == judgment_of(&votes[from])) ++to;
      add_judgment(tallies[votes[from].annotator], std::span(votes).subspan(from, to - from),
                   length);
    }
    const auto panel = gather_panel(votes, {}, Median{});
    const auto& gaps = panel->annotators;
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      Tally& tally = tallies.find(panel->names[i])->second;
      tally.gaps.push_back(gaps[i]);
      tally.lengths.push_back(length);
      if (gaps.size() < 2) continue;
      double others = 0;
      for (std::size_t j = 0; j < gaps.size(); ++j)
        if (j != i) others += gaps[j];
      tally.own.push_back(gaps[i]);
      tally.others.push_back(others / static_cast<double>(gaps.size() - 1));
    }
  }
  if (options.n_pairs > 0) {
    detail::require(n_pairs <= options.n_pairs, "{} pairs have annotations, but n_pairs is {}",
                    n_pairs, options.n_pairs);
    n_pairs = options.n_pairs;
  }
  std::map<std::string, Diagnostics> result;
  for (const auto& [annotator, tally] : tallies)
    result.emplace(annotator, finish(tally, n_pairs, static_cast<bool>(options.length_difference)));
  return result;
}

}  // namespace sp2dpo::stats
