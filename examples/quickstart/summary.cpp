// SPDX-License-Identifier: Apache-2.0
#include "summary.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace quickstart {
namespace {

/// A figure of one arm over the seeds.
struct Spread {
  double mean = 0;
  double deviation = 0;  ///< over seeds; 0 for a single seed
  double low = 0;
  double high = 0;
};

Spread spread_of(const std::vector<double>& values) {
  Spread result;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / n;
  for (const double value : values) result.deviation += std::pow(value - result.mean, 2);
  result.deviation = values.size() > 1 ? std::sqrt(result.deviation / (n - 1)) : 0;
  const auto [low, high] = std::ranges::minmax(values);
  result.low = low;
  result.high = high;
  return result;
}

/// Returns the seeds that every arm has finished, in order.
std::vector<int> complete_seeds(const Results& results) {
  std::map<int, std::size_t> finished;
  for (const auto& run : results.runs) finished[run.seed] += run.finished;
  std::vector<int> seeds;
  for (const auto& [seed, arms] : finished)
    if (arms == all_arms.size()) seeds.push_back(seed);
  return seeds;
}

/// Returns the figures of the arms after the last step, in the order of all_arms.
std::vector<Spread> final_figures(const Results& results, const std::vector<int>& seeds,
                                  double Point::*figure) {
  std::vector<Spread> spreads;
  for (const Arm arm : all_arms) {
    std::vector<double> values;
    for (const auto& run : results.runs)
      if (run.arm == arm && std::ranges::binary_search(seeds, run.seed))
        values.push_back(run.points.back().*figure);
    spreads.push_back(spread_of(values));
  }
  return spreads;
}

/// The distance of the best arm from the worst, and the spread over seeds of one arm.
struct Difference {
  double arms;
  double seeds;
};

Difference difference_of(const std::vector<Spread>& spreads) {
  const auto [lowest, highest] = std::ranges::minmax(spreads, {}, &Spread::mean);
  return {highest.mean - lowest.mean, std::ranges::max(spreads, {}, &Spread::deviation).deviation};
}

sp2dpo::report::CurveChart panel_of(const Results& results, const char* title,
                                    double Point::*figure) {
  sp2dpo::report::CurveChart panel{.title = title, .curves = {}};
  for (const Arm arm : all_arms) {
    sp2dpo::report::Curve curve{.name = std::string(name_of(arm)), .steps = {}, .runs = {}};
    for (const auto& run : results.runs) {
      if (run.arm != arm) continue;
      auto& values = curve.runs.emplace_back();
      for (const auto& point : run.points) values.push_back(point.*figure);
      if (run.points.size() <= curve.steps.size()) continue;
      curve.steps.clear();
      for (const auto& point : run.points) curve.steps.push_back(point.step);
    }
    panel.curves.push_back(std::move(curve));
  }
  return panel;
}

}  // namespace

std::string metrics_csv(const Results& results) {
  std::string csv = "phase,seed,step,training_loss,held_out_accuracy,held_out_margin\n";
  for (const auto& point : results.warm_up)
    csv += fmt::format("warm-up,,{},{},,\n", point.step, point.loss);
  for (const auto& run : results.runs) {
    for (const auto& point : run.points) {
      const std::string loss = point.step == 0 ? "" : fmt::format("{}", point.loss);
      csv += fmt::format("{},{},{},{},{},{}\n", name_of(run.arm), run.seed, point.step, loss,
                         point.accuracy, point.margin);
    }
  }
  return csv;
}

std::vector<sp2dpo::report::CurveChart> training_panels(const Results& results) {
  if (std::ranges::none_of(results.runs, [](const Run& run) { return run.points.size() > 1; }))
    return {};
  return {panel_of(results, "accuracy on held-out pairs", &Point::accuracy),
          panel_of(results, "mean log-ratio margin on held-out pairs, nats", &Point::margin)};
}

std::string comparison(const Results& results) {
  const auto seeds = complete_seeds(results);
  if (seeds.empty()) return "No seed finished all three arms, so they cannot be compared.\n";
  const auto accuracies = final_figures(results, seeds, &Point::accuracy);
  const auto margins = final_figures(results, seeds, &Point::margin);

  std::string text = fmt::format(
      "{} held-out pairs after the last step, mean over {} seeds (smallest to largest):\n"
      "  {:<15} {:<24} {}\n",
      results.held_out_pairs, seeds.size(), "arm", "accuracy", "log-ratio margin, nats");
  for (std::size_t i = 0; i < all_arms.size(); ++i) {
    const auto& a = accuracies[i];
    const auto& m = margins[i];
    text += fmt::format("  {:<15} {:<24} {}\n", name_of(all_arms[i]),
                        fmt::format("{:.3f} ({:.3f} to {:.3f})", a.mean, a.low, a.high),
                        fmt::format("{:.2f} ({:.2f} to {:.2f})", m.mean, m.low, m.high));
  }

  // Sampling error of the held-out pairs: the standard error of a binomial share.
  const double p = accuracies[0].mean;
  const double error = std::sqrt(p * (1 - p) / static_cast<double>(results.held_out_pairs));
  const double above = p - 0.5;
  text += "What this shows:\n";
  text += fmt::format(
      "  training: with per-pair betas, accuracy is {:.3f}; 0.5 is chance, and ±{:.3f} is the "
      "sampling\n  error of {} pairs: {}.\n",
      p, error, results.held_out_pairs,
      above > 2 * error    ? "the policy learned something that holds for unseen pairs"
      : above < -2 * error ? "it is worse than chance on unseen pairs"
                           : "indistinguishable from chance");
  const auto accuracy = difference_of(accuracies);
  const auto margin = difference_of(margins);
  text += fmt::format(
      "  arms: mean accuracies differ by at most {:.3f}; the standard deviation over seeds of one "
      "arm is {:.3f}.\n"
      "  Mean margins differ by at most {:.2f}; over seeds it is {:.2f}.\n",
      accuracy.arms, accuracy.seeds, margin.arms, margin.seeds);
  if (seeds.size() < 3) {
    text += "  Fewer than three seeds cannot show which arm is better.\n";
  } else if (accuracy.arms > 2 * std::max(accuracy.seeds, error)) {
    text +=
        "  That is more than twice what seeds or sampling give. One set of pairs and one small "
        "model\n"
        "  still prove nothing about other data.\n";
  } else {
    text +=
        "  That is within twice what seeds or sampling give: this run does not show that any of "
        "the\n"
        "  three ways to choose beta is better.\n";
  }
  return text;
}

}  // namespace quickstart
