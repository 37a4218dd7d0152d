// SPDX-License-Identifier: Apache-2.0
#include "measure.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace sp2dpo::benchmarks {
namespace {

/// The quantile of the times at `share`.
double percentile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

/// Collects the times of a run instead of printing them.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (run.run_type == Run::RT_Iteration)
        times[run.run_name.function_name].push_back(run.GetAdjustedRealTime());
  }

  std::map<std::string, std::vector<double>> times;
};

}  // namespace

std::map<std::string, Timing> measure(const Contenders& contenders, double budget) {
  const double round = seconds_of([&] {
    for (const auto& [name, run] : contenders) run();
  });
  const int rounds = static_cast<int>(std::clamp(budget / (2 * round), 3.0, 25.0));

  benchmark::ClearRegisteredBenchmarks();
  for (const auto& [name, run] : contenders)
    benchmark::RegisterBenchmark(name.c_str(),
                                 [&run = run](benchmark::State& state) {
                                   // The second call of two counts, as in a training loop: the
                                   // first meets cold caches, and memory that a virtual machine
                                   // has returned to its host.
                                   for (auto _ : state) {
                                     run();
                                     state.SetIterationTime(run());
                                   }
                                 })
        ->Iterations(1)
        ->Repetitions(rounds)
        ->UseManualTime()
        ->Unit(benchmark::kSecond);
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);

  std::map<std::string, Timing> result;
  for (const auto& [name, times] : collector.times) {
    const double median = percentile(times, 0.5);
    result[name] = {median, (percentile(times, 0.8) - percentile(times, 0.2)) / median};
  }
  return result;
}

}  // namespace sp2dpo::benchmarks
