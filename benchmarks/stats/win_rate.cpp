// SPDX-License-Identifier: Apache-2.0
// Times the fit of a length-controlled win rate on data in memory. Run by winrate.sh:
//
//   benchmark_win_rate C GAMED MODEL...     prints per model: seconds, win rate in percent
//
// Lines of GAMED: tanh length, difficulty, win. Lines of a MODEL: both lengths, win, difficulty.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <sp2dpo/stats/win_rate.hpp>

namespace {

using sp2dpo::stats::Comparison;
using sp2dpo::stats::GamedRow;

constexpr int repetitions = 21;

template <class Row, class Read>
std::vector<Row> rows_of(const char* name, Read read) {
  std::ifstream file(name);
  std::vector<Row> rows;
  for (Row row; read(file, row);) rows.push_back(row);
  if (!file.eof() || rows.empty()) throw std::runtime_error(std::string(name) + ": not read");
  return rows;
}

void run(int argc, char** argv) {
  if (argc < 4) throw std::runtime_error("usage: benchmark_win_rate C GAMED MODEL...");
  const auto gamed = rows_of<GamedRow>(argv[2], [](std::istream& in, GamedRow& row) -> bool {
    return static_cast<bool>(in >> row.tanh_length >> row.difficulty >> row.win);
  });
  const sp2dpo::stats::LengthControl control{.gamed = gamed, .c = std::stod(argv[1])};
  for (int i = 3; i < argc; ++i) {
    const auto model = rows_of<Comparison>(argv[i], [](std::istream& in, Comparison& row) -> bool {
      return static_cast<bool>(in >> row.len_baseline >> row.len_model >> row.win >>
                               row.difficulty);
    });
    std::vector<double> seconds;
    double rate = 0;
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      const auto begin = std::chrono::steady_clock::now();
      rate = sp2dpo::stats::length_controlled_win_rate(model, control).rate.value().value;
      seconds.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::ranges::nth_element(seconds, seconds.begin() + repetitions / 2);
    fmt::print("{} {}\n", seconds[repetitions / 2], rate);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "benchmark_win_rate: {}\n", error.what());
    return 1;
  }
}
