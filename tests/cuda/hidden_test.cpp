// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "hidden_problem.hpp"
#include "ptx/device_array.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cuda {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(CudaHiddenOnEveryDevice, MatchesTheHost) {
  for (const bool with_bias : {false, true})
    for (const bool add : {false, true}) {
      Problem problem(DType::float32);
      problem.with_bias = with_bias;
      problem.add = add;
      expect_same(problem.on_device(rows), problem.on_host(rows), 3e-6);
    }
}

TEST(CudaHidden, FillsChunksWithWholePairs) {
  for (const double nll_scale : {0.0, 0.1}) {
    Problem problem(DType::float32);
    problem.average = nll_scale > 0;
    problem.nll_scale = nll_scale;
    const Result want = problem.on_host(rows);
    for (const std::int64_t chunk_rows : {12, 16, 1000})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
  }
}

TEST(CudaHidden, RoundsNarrowTypesOnce) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    Problem problem(dtype);
    problem.add = false;
    Problem wide(DType::float32);
    wide.add = false;
    for (auto [from, to] : {std::pair{&problem.hidden, &wide.hidden},
                            {&problem.head, &wide.head},
                            {&problem.bias, &wide.bias}}) {
      const auto values = numbers(*from, dtype);
      for (std::size_t i = 0; i < values.size(); ++i)
        detail::store(to->data(), DType::float32, static_cast<std::int64_t>(i), values[i]);
    }
    // Logits and their gradients are stored in the narrow type.
    expect_same(problem.on_device(12), wide.on_host(rows), dtype == DType::float16 ? 3e-3 : 2e-2);
  }
}

TEST(CudaHidden, ReportsAnInvalidLabel) {
  Problem problem(DType::float32);
  problem.labels[2] = vocab;
  std::uint64_t bad_row = 0;
  const Result got = problem.on_device(rows, &bad_row);
  EXPECT_EQ(bad_row, 2u);
  EXPECT_TRUE(std::isnan(got.losses[0]));
  EXPECT_FALSE(std::isnan(got.losses[1]));
}

TEST(CudaHidden, SplitsPairsLongerThanAChunk) {
  // Longer than some pairs; shorter than some sequences.
  for (const auto& [chunk_rows, add] : {std::pair<std::int64_t, bool>{8, false}, {2, true}}) {
    Problem problem(DType::float32);
    problem.add = add;
    expect_same(problem.on_device(chunk_rows), problem.on_host(rows), 3e-6);
  }
  Problem problem(DType::bfloat16);
  expect_same(problem.on_device(5), problem.on_device(rows), 1e-2);
}

TEST(CudaHiddenOnEveryDevice, SkipsMaskedRowsThatAreListed) {
  Problem problem(DType::float32);
  problem.average = true;
  const Result want = problem.on_host(rows);
  problem.lists_masked = true;
  for (const std::int64_t chunk_rows : {rows, std::int64_t{3}})
    expect_same(problem.on_device(chunk_rows), want, 3e-6);
}

TEST(CudaHiddenOnEveryDevice, SkipsPairsWithAnEmptySequence) {
  for (const bool lists_masked : {false, true}) {
    Problem problem(DType::float32);
    problem.skip_incomplete = true;
    problem.nll_scale = 0.1;
    problem.labels[5] = ignored;  // the only row of the second pair's chosen sequence
    for (std::size_t i = 18; i < rows; ++i) problem.labels[i] = ignored;  // the third's rejected
    const Result want = problem.on_host(rows);
    EXPECT_GT(want.losses[0], 0);
    EXPECT_EQ(want.losses[1], 0);
    EXPECT_EQ(want.losses[2], 0);
    problem.lists_masked = lists_masked;
    for (const std::int64_t chunk_rows : {rows, std::int64_t{4}})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
  }
}

/// A chunk size that the last pair does not fit into.
constexpr std::int64_t some_in_parts = 8;

TEST(CudaHidden, GivesTheSameNumbersForAnySetOfGradients) {
  Problem problem(DType::float32);
  const auto before = [](std::int64_t count) {
    return numbers(Problem::float_bytes(count), DType::float32);
  };
  problem.add = false;
  const Result all = problem.on_device(some_in_parts);
  for (int wanted = 0; wanted < 7; ++wanted) {
    SCOPED_TRACE(wanted);
    const bool hidden = (wanted & 1) != 0, head = (wanted & 2) != 0, bias = (wanted & 4) != 0;
    const Result got = problem.on_device(some_in_parts, nullptr, [&](const Problem::Call& call) {
      if (!hidden) call.rows.d_hidden.data = nullptr;
      if (!head) call.rows.d_head.data = nullptr;
      if (!bias) call.rows.d_bias.data = nullptr;
    });
    EXPECT_EQ(got.policy, all.policy);
    EXPECT_EQ(got.losses, all.losses);
    EXPECT_EQ(got.slopes, all.slopes);
    EXPECT_EQ(got.d_hidden, hidden ? all.d_hidden : std::vector<double>());
    EXPECT_EQ(got.d_head, head ? all.d_head : before(vocab * width));
    EXPECT_EQ(got.d_bias, bias ? all.d_bias : before(vocab));
  }
}

TEST(CudaHidden, AccumulatesOverCalls) {
  Problem problem(DType::float32);
  const Result once = problem.on_device(some_in_parts);
  const Result twice = problem.on_device(some_in_parts, nullptr, {}, 2);
  const auto expect_twice = [](const std::vector<double>& first, const std::vector<double>& both) {
    const auto before =
        numbers(Problem::float_bytes(static_cast<std::int64_t>(first.size())), DType::float32);
    for (std::size_t i = 0; i < before.size(); ++i)
      EXPECT_NEAR(both[i] - before[i], 2 * (first[i] - before[i]), 1e-6) << i;
  };
  expect_twice(once.d_head, twice.d_head);
  expect_twice(once.d_bias, twice.d_bias);
  EXPECT_EQ(twice.d_hidden, once.d_hidden);
  problem.add = false;
  const Result fresh = problem.on_device(some_in_parts);
  const Result again = problem.on_device(some_in_parts, nullptr, {}, 2);
  EXPECT_EQ(again.d_head, fresh.d_head);
  EXPECT_EQ(again.d_bias, fresh.d_bias);
}

TEST(CudaHidden, GivesNanForAnEmptySequenceThatIsNotAllowed) {
  Problem problem(DType::float32);
  problem.lists_masked = true;
  problem.labels[5] = ignored;  // the only row of the second pair's chosen sequence
  const auto losses = [&](bool allowed) {
    return problem
        .on_device(rows, nullptr,
                   [&](const Problem::Call& call) { call.lists.empty_allowed = allowed; })
        .losses;
  };
  const auto kept = losses(true), refused = losses(false);
  EXPECT_EQ(kept, problem.on_device(rows).losses);
  EXPECT_FALSE(std::isnan(kept[1]));
  EXPECT_TRUE(std::isnan(refused[1]));
  EXPECT_EQ(refused[0], kept[0]);
}

TEST(CudaHidden, ComputesAReferencesLogProbabilities) {
  Problem problem(DType::float32);
  const PairRows pair_rows = problem.pairs();
  std::vector<std::int64_t> counts;
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    for (std::int64_t i = 0; i < pair_count; ++i) counts.push_back(pair_rows.count(i, side));
  for (const bool average : {false, true}) {
    problem.average = average;
    const std::vector<double> want = problem.on_host(rows).policy;
    for (const std::int64_t chunk_rows : {rows, std::int64_t{7}}) {
      const auto got = problem.log_probs_on_device(chunk_rows);
      expect_near(got.policy, want, 3e-6, "log-probability");
      EXPECT_EQ(got.counts, counts);
    }
  }
}

TEST(CudaHidden, TakesAReferenceWithTheSameHead) {
  for (const bool average : {false, true}) {
    Problem problem(DType::float32);
    problem.average = average;
    Problem reference = problem;
    for (std::int64_t i = 0; i < rows * width; ++i)
      detail::store(reference.hidden.data(), problem.dtype, i,
                    0.7 * detail::load(problem.hidden.data(), problem.dtype, rows * width - 1 - i));
    problem.reference_sums = reference.on_host(rows).policy;
    const Result want = problem.on_host(rows);
    problem.reference_sums.clear();
    problem.reference = reference.hidden;
    for (const std::int64_t chunk_rows : {rows, std::int64_t{12}, std::int64_t{3}})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
    problem.long_pairs = LongPairs::by_side;
    for (const std::int64_t chunk_rows : {4, 3})
      expect_same(problem.on_device(chunk_rows), want, 3e-6);
  }
}

/// Compares the device with LongPairs::by_side to the host with whole pairs.
void expect_as_on_host(Problem problem, std::int64_t chunk_rows) {
  const Result want = problem.on_host(rows);
  problem.long_pairs = LongPairs::by_side;
  expect_same(problem.on_device(chunk_rows), want, 3e-6);
}

TEST(CudaHiddenBySide, MatchesTheHost) {
  // The slopes of NCA and BCO are not opposite numbers, nor are any objective's with nll_scale.
  struct Case {
    AnyObjective objective;
    double nll_scale;
    bool average, add, with_bias;
    std::int64_t vocab, chunk_rows;
  };
  for (const auto& x :
       {Case{Sigmoid{}, 0, false, true, true, 71, 8}, Case{Sigmoid{}, 0, true, false, false, 70, 5},
        Case{Hinge{}, 0.1, true, true, true, 70, 5}, Case{NcaPair{}, 0, false, true, false, 70, 2},
        Case{NcaPair{}, 0, true, false, true, 71, 5},
        Case{BcoPair{}, 0.1, false, false, true, 71, 8}}) {
    SCOPED_TRACE(x.objective.name());
    Problem problem(DType::float32, x.vocab);
    problem.objective = x.objective;
    problem.nll_scale = x.nll_scale;
    problem.average = x.average;
    problem.add = x.add;
    problem.with_bias = x.with_bias;
    expect_as_on_host(problem, x.chunk_rows);
  }
}

TEST(CudaHiddenBySide, TakesALongPairAtEveryPosition) {
  bool other = false;
  // Where the chosen sequences of the three pairs begin, then the rejected ones.
  for (const auto& bounds : {std::vector<std::int64_t>{0, 9, 10, 11, 23, 24, rows},  // first
                             {0, 1, 10, 12, 13, 24, rows},                           // amid others
                             {0, 1, 2, 10, 11, 12, rows},                            // last
                             {0, 12, 12, 12, rows, rows, rows},                      // alone
                             {0, 0, 11, 12, 23, 23, rows}}) {  // two with one empty sequence each
    Problem problem(DType::float32);
    problem.bounds = bounds;
    problem.average = problem.add = other;
    expect_as_on_host(problem, 7);
    problem.objective = NcaPair{};
    problem.add = !other;
    expect_as_on_host(problem, 7);
    other = !other;
  }
}

TEST(CudaHiddenBySide, SkipsMaskedRowsThatAreListed) {
  for (const double nll_scale : {0.0, 0.1}) {
    Problem problem(DType::float32);
    problem.average = true;
    problem.nll_scale = nll_scale;
    problem.labels[0] = problem.labels[6] = ignored;  // the sequences' first rows
    problem.lists_masked = true;
    expect_as_on_host(problem, 3);
  }
}

TEST(CudaHiddenBySide, SkipsPairsWithAnEmptySequence) {
  for (const double nll_scale : {0.0, 0.1})
    for (const bool lists_masked : {false, true}) {
      Problem problem(DType::float32);
      problem.skip_incomplete = true;
      problem.nll_scale = nll_scale;
      problem.lists_masked = lists_masked;
      problem.labels[5] = ignored;  // the only row of the first pair's rejected sequence
      for (std::size_t i = 18; i < rows; ++i) problem.labels[i] = ignored;  // the third's
      expect_as_on_host(problem, 2);
    }
}

TEST(CudaHiddenBySide, GivesTheSameNumbersForAnySetOfGradients) {
  const auto before = [](std::int64_t count) {
    return numbers(Problem::float_bytes(count), DType::float32);
  };
  for (const double nll_scale : {0.0, 0.1}) {
    Problem problem(DType::float32);
    problem.long_pairs = LongPairs::by_side;
    problem.nll_scale = nll_scale;
    const Result all = problem.on_device(8);
    for (int wanted = 1; wanted < 8; ++wanted) {
      const bool hidden = (wanted & 1) != 0, head = (wanted & 2) != 0, bias = (wanted & 4) != 0;
      const Result got = problem.on_device(8, nullptr, [&](const Problem::Call& call) {
        if (!hidden) call.rows.d_hidden.data = nullptr;
        if (!head) call.rows.d_head.data = nullptr;
        if (!bias) call.rows.d_bias.data = nullptr;
      });
      EXPECT_EQ(got.losses, all.losses) << wanted;
      EXPECT_EQ(got.d_hidden, hidden ? all.d_hidden : std::vector<double>()) << wanted;
      EXPECT_EQ(got.d_head, head ? all.d_head : before(vocab * width)) << wanted;
      EXPECT_EQ(got.d_bias, bias ? all.d_bias : before(vocab)) << wanted;
    }
  }
}

TEST(CudaHiddenBySide, AccumulatesOverCalls) {
  Problem problem(DType::float32);
  problem.long_pairs = LongPairs::by_side;
  const Result once = problem.on_device(6), twice = problem.on_device(6, nullptr, {}, 2);
  const auto before = numbers(Problem::float_bytes(vocab * width), DType::float32);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(twice.d_head[i] - before[i], 2 * (once.d_head[i] - before[i]), 1e-6);
  problem.add = false;
  EXPECT_EQ(problem.on_device(6, nullptr, {}, 2).d_head, problem.on_device(6).d_head);
}

TEST(CudaHiddenBySide, GivesNanForTheRowsOfAPairWithoutALoss) {
  Problem problem(DType::float32);
  problem.lists_masked = true;
  problem.beta[2] = -1;
  for (const auto long_pairs : {LongPairs::recompute, LongPairs::by_side}) {
    problem.long_pairs = long_pairs;
    const Result got = problem.on_device(8);
    EXPECT_TRUE(std::isnan(got.losses[2]));
    for (std::size_t i = 0; i < got.d_hidden.size(); ++i) {
      const std::size_t row = i / width;
      const bool is_of_pair = (6 <= row && row < 13) || 18 <= row;
      EXPECT_EQ(std::isnan(got.d_hidden[i]), is_of_pair && row % 5 != 3) << row;
    }
    for (const double x : got.d_head) EXPECT_TRUE(std::isnan(x));
  }
}

/// Returns a bound of the error of rounding to the type.
double rounding(double x, DType dtype) {
  return dtype == DType::bfloat16 ? std::ldexp(std::fabs(x), -8)
                                  : std::max(std::ldexp(std::fabs(x), -11), std::ldexp(1, -25));
}

TEST(CudaHiddenBySide, RoundsHiddenGradientsOnceMore) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    Problem problem(dtype);
    problem.with_bias = false;
    problem.long_pairs = LongPairs::by_side;
    const Result got = problem.on_device(8);
    const auto x = numbers(problem.hidden, dtype), w = numbers(problem.head, dtype);
    for (std::int64_t sequence = 0; sequence < 2 * pair_count; ++sequence) {
      // −log σ(β Δ), of weight 2, in the mean.
      const auto pair = static_cast<std::size_t>(sequence % pair_count);
      const double beta = problem.beta[pair];
      const double z = beta * (got.policy[pair] - got.policy[pair_count + pair]);
      const double slope = (sequence < pair_count ? -2 : 2) * beta / (1 + std::exp(z)) / pair_count;
      for (std::int64_t row = problem.bounds[static_cast<std::size_t>(sequence)];
           row < problem.bounds[static_cast<std::size_t>(sequence + 1)]; ++row) {
        const std::int64_t label = problem.labels[static_cast<std::size_t>(row)];
        const auto at = [&](std::int64_t i, std::int64_t j) {
          return static_cast<std::size_t>(i * width + j);
        };
        std::vector<double> p(vocab);
        double sum = 0;
        for (std::int64_t v = 0; v < vocab; ++v) {
          auto& logit = p[static_cast<std::size_t>(v)];
          for (std::int64_t j = 0; j < width; ++j) logit += x[at(row, j)] * w[at(v, j)];
          if (v != label) {  // which alone does not go through the type
            unsigned char stored[8];
            detail::store(stored, dtype, 0, logit);
            logit = detail::load(stored, dtype, 0);
          }
          sum += logit = std::exp(logit);
        }
        for (std::int64_t j = 0; j < width; ++j) {
          double want = 0, of_logits = 0;
          for (std::int64_t v = 0; v < vocab && label != ignored; ++v) {
            const double g = (v == label ? 1 : 0) - p[static_cast<std::size_t>(v)] / sum;
            want += g * w[at(v, j)];
            of_logits += rounding(g, dtype) * std::fabs(w[at(v, j)]);
          }
          const double unscaled = of_logits + rounding(std::fabs(want) + of_logits, dtype);
          const double bound = std::fabs(slope) * unscaled +
                               rounding(std::fabs(slope) * (std::fabs(want) + unscaled), dtype);
          // Beside it, what float32 rounds, and a logit that it rounds the other way.
          EXPECT_NEAR(got.d_hidden[at(row, j)], slope * want, 1.02 * bound)
              << name_of(dtype) << " " << row << " " << j;
        }
      }
    }
  }
}

TEST(CudaHiddenBySide, NeedsMemoryForTheSumsOfTheObjective) {
  Problem problem(DType::bfloat16);
  const PairRows pair_rows = problem.pairs();
  unsigned char some{};
  HiddenRows all =
      problem.hidden_rows(&some, &some, &some, problem.labels.data(), &some, &some, &some);
  const auto more = [&](std::int64_t chunk_rows) {
    const SequenceLoss loss = problem.sequence_loss(pair_rows, {}, problem.beta.data(), {});
    const auto workspace = [&](LongPairs long_pairs) {
      return hidden_workspace({.rows = all, .chunk_rows = chunk_rows, .long_pairs = long_pairs},
                              loss);
    };
    return workspace(LongPairs::by_side) - workspace(LongPairs::recompute);
  };
  const auto aligned = [](std::size_t bytes) { return (bytes + 255) / 256 * 256; };
  const std::size_t scales = 2 * 256;
  const std::size_t sum = aligned(4 * vocab * width) + aligned(4 * vocab);
  EXPECT_EQ(more(12), 0u);  // which holds the longest pair
  EXPECT_EQ(more(11), scales + sum);
  problem.nll_scale = 0.1;
  EXPECT_EQ(more(11), scales + 2 * sum);
  problem.nll_scale = 0;
  problem.objective = NcaPair{};
  EXPECT_EQ(more(11), scales + 2 * sum);
  all.d_head.data = nullptr;
  EXPECT_EQ(more(11), scales + 2 * aligned(4 * vocab));
  all.d_bias.data = nullptr;
  EXPECT_EQ(more(11), 0u);
}

TEST(CudaMatrixProducts, RefuseMismatchedAndNullMatrices) {
  MatrixProducts products;
  float memory[4]{};
  const Matrix two{memory, DType::float32, 2, 2, 2}, row{memory, DType::float32, 1, 2, 2};
  EXPECT_THAT([&] { products({as_const(two)}, {as_const(row)}, two, false, nullptr, 0, nullptr); },
              ThrowsMessage<InvalidArgument>(HasSubstr("[2, 2] · [1, 2] does not give [2, 2]")));
  const Matrix null{nullptr, DType::float32, 2, 2, 2};
  const auto expect_missing = [&](const Matrix& a, const Matrix& b, const Matrix& out,
                                  const char* words) {
    EXPECT_THAT([&] { products({as_const(a)}, {as_const(b)}, out, false, nullptr, 0, nullptr); },
                ThrowsMessage<InvalidArgument>(HasSubstr(words)));
  };
  expect_missing(null, two, two, "cuda::MatrixProducts: a.matrix.data is null");
  expect_missing(two, null, two, "cuda::MatrixProducts: b.matrix.data is null");
  expect_missing(two, two, null, "cuda::MatrixProducts: out.data is null");
  const Matrix wide{memory, DType::float64, 1, 1, 1};
  EXPECT_THAT(
      [&] { products({as_const(wide)}, {as_const(wide)}, wide, false, nullptr, 0, nullptr); },
      ThrowsMessage<InvalidArgument>(HasSubstr("float64")));
}

}  // namespace
}  // namespace sp2dpo::cuda
