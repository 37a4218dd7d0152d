// SPDX-License-Identifier: Apache-2.0
// Compares the row kernels with the limits of memory: a read of the logits for the first pass, an
// in-place rewrite for the second. Times are wall-clock times of the whole call; bytes are those
// that each pass must move.
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include <sp2dpo/cpu/rows.hpp>

namespace {

using sp2dpo::DType;

/// Logits with a distribution like a model's: N(0, 2²).
struct Batch {
  Batch(DType dtype, std::int64_t rows, std::int64_t vocab)
      : memory(static_cast<std::size_t>(rows * vocab) * size_of(dtype)),
        labels(static_cast<std::size_t>(rows)),
        coefficient(static_cast<std::size_t>(rows), 0.01),
        lse_others(static_cast<std::size_t>(rows)),
        logits{memory.data(), dtype, rows, vocab, vocab, {vocab}} {
    std::mt19937 random(1);
    std::normal_distribution<double> spread(0, 2);
    for (auto& label : labels)
      label = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocab));
    // A pool, since drawing 65 million normal numbers takes longer than the benchmark.
    std::vector<double> pool(1 << 16);
    for (double& value : pool) value = spread(random);
    for (std::int64_t i = 0; i < rows * vocab; ++i)
      sp2dpo::detail::store(memory.data(), dtype, i, pool[random() % pool.size()]);
  }

  std::vector<unsigned char> memory;
  std::vector<std::int64_t> labels;
  std::vector<double> coefficient, lse_others;
  sp2dpo::LogitRows logits;
};

/// Runs equal parts in one thread each.
class Threads {
 public:
  explicit Threads(std::int64_t count) : count_(count) {}

  void operator()(std::int64_t n, std::int64_t, sp2dpo::cpu::Task task) const {
    std::vector<std::thread> threads;
    for (std::int64_t t = 1; t < count_; ++t)
      threads.emplace_back([=, this] { task(n * t / count_, n * (t + 1) / count_); });
    task(0, n / count_);
    for (auto& thread : threads) thread.join();
  }

 private:
  std::int64_t count_;
};

enum class Pass { read, rewrite, log_probs, gradient, both };

template <Pass pass>
void rows(benchmark::State& state, DType dtype) {
  Batch batch(dtype, state.range(0), state.range(1));
  const Threads threads(state.range(2));
  const sp2dpo::RowLabels labels{batch.labels.data()};
  const sp2dpo::RowSelection all{0, batch.logits.rows};
  const sp2dpo::RowStatistics statistics{.lse_others = batch.lse_others.data()};
  const sp2dpo::GradientRows in_place{batch.memory.data(), batch.logits.layout};
  const auto row_bytes = static_cast<std::size_t>(batch.logits.vocab) * size_of(dtype);
  sp2dpo::cpu::row_log_probs(batch.logits, labels, all, statistics, threads);

  const std::vector<unsigned char> fresh = batch.memory;
  for (auto _ : state) {
    if constexpr (pass == Pass::gradient || pass == Pass::both) {
      state.PauseTiming();
      batch.memory = fresh;
      state.ResumeTiming();
    }
    if constexpr (pass == Pass::read || pass == Pass::rewrite) {
      threads(all.count, 1, [&](std::int64_t begin, std::int64_t end) {
        auto* from = batch.memory.data() + static_cast<std::size_t>(begin) * row_bytes;
        const auto count =
            static_cast<std::size_t>(end - begin) * row_bytes / sizeof(std::uint64_t);
        auto* words = reinterpret_cast<std::uint64_t*>(from);
        if constexpr (pass == Pass::rewrite) {
          for (std::size_t i = 0; i < count; ++i) words[i] ^= 1;
        } else {
          std::uint64_t sum = 0;
          for (std::size_t i = 0; i < count; ++i) sum += words[i];
          benchmark::DoNotOptimize(sum);
        }
        benchmark::ClobberMemory();
      });
    } else if constexpr (pass == Pass::log_probs) {
      sp2dpo::cpu::row_log_probs(batch.logits, labels, all, statistics, threads);
    } else if constexpr (pass == Pass::gradient) {
      sp2dpo::cpu::row_gradient(batch.logits, labels, all, batch.lse_others.data(),
                                batch.coefficient.data(), in_place, sp2dpo::MaskedRows::zero,
                                threads);
    } else {
      sp2dpo::cpu::row_log_probs_and_gradient(batch.logits, labels, all, statistics,
                                              batch.coefficient.data(), in_place,
                                              sp2dpo::MaskedRows::zero, threads);
    }
  }
  constexpr int moved = pass == Pass::read || pass == Pass::log_probs ? 1 : 2;
  state.SetBytesProcessed(state.iterations() * moved * all.count *
                          static_cast<std::int64_t>(row_bytes));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "vocab", "threads"})
      ->ArgsProduct({{128, 512}, {32000, 128256}, {1, 2}})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void add(const char* name, void (*run)(benchmark::State&, DType)) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16, DType::float64})
    sizes(benchmark::RegisterBenchmark((std::string(name) + "/" + name_of(dtype)).c_str(), run,
                                       dtype));
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add("read", rows<Pass::read>);
  add("rewrite", rows<Pass::rewrite>);
  add("row_log_probs", rows<Pass::log_probs>);
  add("row_gradient", rows<Pass::gradient>);
  add("row_log_probs_and_gradient", rows<Pass::both>);
  benchmark::RunSpecifiedBenchmarks();
}
