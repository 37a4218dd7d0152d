// SPDX-License-Identifier: Apache-2.0
#include "parts/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "command.hpp"
#include "named_files.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/report/reliability.hpp>
#include <sp2dpo/schedule/controls.hpp>
#include <sp2dpo/stats/calibration.hpp>

namespace sp2dpo::tool {

namespace {

constexpr std::size_t folds = 5;
constexpr std::size_t min_labels = 10;

using ToProbability = std::function<double(double strength)>;

ToProbability fit(const std::string& method, std::span<const stats::ScoredVerdict> verdicts) {
  if (method == "platt") return stats::Platt(verdicts);
  return stats::Isotonic(verdicts);
}

/// The panel's judgments of the gold pairs, scored by the size of their gaps.
struct Judged {
  std::vector<stats::ScoredVerdict> verdicts{};  // in an order that depends on the ids only
  std::size_t without_gap = 0;
  std::size_t ties = 0;
};

Judged judge(const Gold& gold, const SpooledGaps& gaps) {
  std::unordered_map<std::string_view, double> preferred;
  for (const auto& label : gold.labels) preferred.emplace(label.pair_id, label.preferred);
  std::vector<std::pair<std::uint64_t, stats::ScoredVerdict>> judged;
  Judged result{.without_gap = preferred.size()};
  gaps.for_each([&](const PairGap& pair) {
    const auto truth = preferred.find(pair.id);
    if (truth == preferred.end() || !pair.gap) return;
    --result.without_gap;
    const double gap = pair.gap->value;
    if (std::abs(gap) <= tie_below) {
      ++result.ties;
      return;
    }
    const double right = (1 + std::copysign(1.0, gap) * truth->second) / 2;
    judged.push_back({detail::bits_of(0, truth->first), {std::abs(gap), right}});
  });
  std::ranges::sort(judged, {}, [](const auto& entry) { return entry.first; });
  for (const auto& [bits, verdict] : judged) result.verdicts.push_back(verdict);
  return result;
}

/// Scores each fold by a fit to the other folds.
std::vector<stats::ScoredVerdict> out_of_fold(const std::string& method,
                                              const std::vector<stats::ScoredVerdict>& verdicts) {
  std::vector<stats::ScoredVerdict> result = verdicts;
  for (std::size_t fold = 0; fold < folds; ++fold) {
    std::vector<stats::ScoredVerdict> others;
    for (std::size_t i = 0; i < verdicts.size(); ++i)
      if (i % folds != fold) others.push_back(verdicts[i]);
    const auto to_probability = fit(method, others);
    for (std::size_t i = fold; i < verdicts.size(); i += folds)
      result[i].score = to_probability(verdicts[i].score);
  }
  return result;
}

io::Json to_json(const std::vector<stats::ScoredVerdict>& verdicts) {
  const auto bins = stats::reliability(verdicts);
  io::Json::List points;
  for (const auto& bin : bins)
    points.push_back(io::Json::Object{{"n", bin.n}, {"right", bin.right}, {"stated", bin.score}});
  return io::Json::Object{{"brier", stats::brier_score(verdicts)},
                          {"ece", stats::expected_calibration_error(bins)},
                          {"points", std::move(points)}};
}

/// The bins that to_json() wrote; nullopt for any other value.
std::optional<std::vector<stats::ReliabilityBin>> bins_of(const io::Json& json) {
  const auto* const points = json.find("points");
  if (points == nullptr || points->list() == nullptr) return std::nullopt;
  std::vector<stats::ReliabilityBin> bins;
  for (const auto& point : *points->list()) {
    const auto number = [&](std::string_view key) {
      const auto* const value = point.find(key);
      return value == nullptr ? std::nullopt : value->number();
    };
    const auto n = number("n"), right = number("right"), stated = number("stated");
    if (n && right && stated) bins.push_back({static_cast<std::int64_t>(*n), *stated, *right});
  }
  return bins;
}

}  // namespace

void FitOptions::declare(args::Command app) {
  app.section("Judgments");
  const auto gold_option =
      app.option("--gold", &gold,
                 "Calibrate gaps by these gold labels: CSV with the columns pair_id, "
                 "preferred (chosen, rejected or tie)")
          .file(args::FileUse::read);
  app.option("--calibration", &calibration, "Calibration method: isotonic or platt")
      .one_of({"isotonic", "platt"})
      .needs(gold_option)
      .show_default();
  app.option("--reliability", &picture, "Write a reliability diagram to this file, .svg")
      .file(args::FileUse::write)
      .needs(gold_option);
}

SpooledGaps calibrated(const SpooledGaps& gaps, const FitOptions& options, const Gold& gold,
                       NamedAggregator& aggregator) {
  const Judged judged = judge(gold, gaps);
  const std::size_t n = judged.verdicts.size();
  if (n < min_labels)
    throw DataError(
        options.gold, 0, "",
        fmt::format("calibration needs at least {} gold labels with a gap, got {}: of {} "
                    "labelled pairs, {} have no gap and {} a gap of 0",
                    min_labels, n, gold.labels.size(), judged.without_gap, judged.ties));
  // An uncalibrated gap as a probability: 1 is certain, 0 is a coin flip.
  auto before = judged.verdicts;
  for (auto& verdict : before) verdict.score = std::min(1.0, (1 + verdict.score) / 2);
  const auto after = out_of_fold(options.calibration, judged.verdicts);

  aggregator.description = {"calibrated",
                            {{"after", to_json(after)},
                             {"before", to_json(before)},
                             {"folds", folds},
                             {"method", options.calibration},
                             {"n", n},
                             {"of", io::to_json(aggregator.description)},
                             {"ties", judged.ties},
                             {"without_gap", judged.without_gap}}};
  aggregator.inputs.push_back(gold.file);
  const auto ece = [](const auto& verdicts) {
    return stats::expected_calibration_error(stats::reliability(verdicts));
  };
  aggregator.summary += fmt::format(
      "Calibrated ({}) on {} gold labels: ECE {:.4f} before, {:.4f} after, "
      "the latter in {}-fold cross-validation\n",
      options.calibration, n, ece(before), ece(after), folds);
  if (!options.picture.empty()) {
    const report::ReliabilitySeries series[] = {
        {"uncalibrated", stats::reliability(before)},
        {options.calibration + ", cross-validated", stats::reliability(after)}};
    save(options.picture, report::reliability_svg(series, "Reliability of the panel's judgments"));
  }
  return gaps.changed([to_probability = fit(options.calibration, judged.verdicts)](PairGap& pair) {
    if (!pair.gap || std::abs(pair.gap->value) <= tie_below) return;
    double& gap = pair.gap->value;
    gap = std::copysign(1.0, gap) * (2 * to_probability(std::abs(gap)) - 1);
  });
}

std::vector<report::ReliabilitySeries> reliability_of(const io::PartDescription& aggregator) {
  std::vector<report::ReliabilitySeries> series;
  if (aggregator.name != "calibrated") return series;
  for (const auto& [key, name] :
       {std::pair{"before", "uncalibrated"}, {"after", "calibrated, cross-validated"}}) {
    const auto found = aggregator.parameters.find(key);
    if (found == aggregator.parameters.end()) continue;
    auto bins = bins_of(found->second);
    if (bins && !bins->empty()) series.push_back({name, std::move(*bins)});
  }
  return series;
}

}  // namespace sp2dpo::tool
