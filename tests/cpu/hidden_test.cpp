// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/loss/objective.hpp>

namespace sp2dpo::cpu {
namespace {

/// A product that sums in the order of the inner dimension, starting with what `out` holds, so that
/// the order does not depend on the rows it is given.
constexpr auto in_order = [](const MatrixProduct::Operand& a, const MatrixProduct::Operand& b,
                             const Matrix& out, bool add) {
  const auto at = [](const MatrixProduct::Operand& x, std::int64_t row, std::int64_t column) {
    if (x.transposed) std::swap(row, column);
    return detail::load(x.matrix.data, x.matrix.dtype, row * x.matrix.stride + column);
  };
  const std::int64_t inner = a.transposed ? a.matrix.rows : a.matrix.columns;
  for (std::int64_t i = 0; i < out.rows; ++i)
    for (std::int64_t j = 0; j < out.columns; ++j) {
      const std::int64_t place = i * out.stride + j;
      auto sum = add ? static_cast<float>(detail::load(out.data, out.dtype, place)) : 0.0f;
      for (std::int64_t k = 0; k < inner; ++k)
        sum += static_cast<float>(at(a, i, k)) * static_cast<float>(at(b, k, j));
      detail::store(out.data, out.dtype, place, sum);
    }
};

/// Three pairs of sequences of one to seven rows, in float32.
struct Problem {
  static constexpr std::int64_t rows = 24, vocab = 19, width = 6, pairs = 3;

  Problem() {
    std::mt19937_64 random(11);
    std::normal_distribution<float> normal(0, 1);
    for (auto* numbers : {&hidden, &head, &bias})
      for (float& number : *numbers) number = normal(random);
    for (std::int64_t i = 0; i < rows; ++i)
      labels[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(random() % vocab);
  }

  struct Result {
    double loss;
    std::vector<double> log_prob, policy;
    std::vector<float> d_hidden, d_head, d_bias;
  };

  /// Computes the loss in chunks of at most so many rows.
  [[nodiscard]] Result operator()(std::int64_t chunk_rows) const {
    const std::vector<std::int64_t> bounds{0, 5, 6, 13, 17, 19, rows};
    const PairRows pair_rows({.count = 2 * pairs, .cu_seqlens = bounds.data()}, {labels.data()},
                             rows);
    Result result{0,
                  std::vector<double>(rows),
                  std::vector<double>(2 * pairs),
                  std::vector<float>(hidden.size()),
                  std::vector<float>(head.size(), NAN),
                  std::vector<float>(bias.size(), NAN)};
    using enum DType;
    const auto matrix = [](auto& numbers, std::int64_t height, std::int64_t breadth) {
      return Matrix{const_cast<float*>(numbers.data()), float32, height, breadth, breadth};
    };
    const auto given = [&](auto& numbers, std::int64_t height, std::int64_t breadth) {
      return ConstMatrix{numbers.data(), float32, height, breadth, breadth};
    };
    const HiddenRows all{.hidden = given(hidden, rows, width),
                         .head = given(head, vocab, width),
                         .bias = bias.data(),
                         .labels = {labels.data()},
                         .d_hidden = matrix(result.d_hidden, rows, width),
                         .d_head = matrix(result.d_head, vocab, width),
                         .d_bias = matrix(result.d_bias, 1, vocab),
                         .add = false};
    std::vector<double> slopes(2 * pairs), coefficient(rows);
    const AnyObjective objective = Sigmoid();
    SequenceLoss loss{.rows = pair_rows, .objective = objective};
    loss.inputs.beta = 0.2;
    loss.outputs.d_policy_chosen = {slopes.data(), float64};
    loss.outputs.d_policy_rejected = {slopes.data() + pairs, float64};
    std::vector<std::max_align_t> memory(
        hidden_workspace(all, pair_rows, chunk_rows) / sizeof(std::max_align_t) + 8);
    void* workspace = memory.data();
    std::size_t space = memory.size() * sizeof(std::max_align_t);
    EXPECT_NE(std::align(64, hidden_workspace(all, pair_rows, chunk_rows), workspace, space),
              nullptr);
    result.loss = hidden_loss(all, loss, chunk_rows, workspace,
                              {.rows = {.log_prob = result.log_prob.data()},
                               .policy_chosen = result.policy.data(),
                               .policy_rejected = result.policy.data() + pairs,
                               .d_chosen = slopes.data(),
                               .d_rejected = slopes.data() + pairs,
                               .coefficient = coefficient.data()},
                              in_order)
                      .total(loss);
    return result;
  }

  std::vector<float> hidden = std::vector<float>(rows * width);
  std::vector<float> head = std::vector<float>(vocab * width);
  std::vector<float> bias = std::vector<float>(vocab);
  std::vector<std::int64_t> labels = std::vector<std::int64_t>(rows);
};

TEST(HiddenLoss, EqualsTheLossFromLogits) {
  const Problem problem;
  const auto result = problem(Problem::rows);
  for (std::size_t row = 0; row < Problem::rows; ++row) {
    std::vector<double> logits(Problem::vocab);
    double sum = 0;
    for (std::size_t v = 0; v < logits.size(); ++v) {
      logits[v] = problem.bias[v];
      for (std::size_t j = 0; j < Problem::width; ++j)
        logits[v] +=
            double(problem.hidden[row * Problem::width + j]) * problem.head[v * Problem::width + j];
      sum += std::exp(logits[v]);
    }
    EXPECT_NEAR(result.log_prob[row],
                logits[static_cast<std::size_t>(problem.labels[row])] - std::log(sum), 2e-6);
  }
}

/// The driver itself reorders nothing: with a product whose order does not depend on the plan, all
/// plans of whole pairs give the same bits, the head's gradient included.
TEST(HiddenLoss, IsBitIdenticalForEveryChunkSize) {
  const Problem problem;
  const auto whole = problem(Problem::rows);
  for (const std::int64_t chunk_rows : {12, 15, 21}) {  // the longest pair has 12 rows
    const auto parts = problem(chunk_rows);
    EXPECT_EQ(parts.loss, whole.loss) << chunk_rows;
    EXPECT_EQ(parts.log_prob, whole.log_prob) << chunk_rows;
    EXPECT_EQ(parts.policy, whole.policy) << chunk_rows;
    EXPECT_EQ(parts.d_hidden, whole.d_hidden) << chunk_rows;
    EXPECT_EQ(parts.d_head, whole.d_head) << chunk_rows;
    for (std::size_t v = 0; v < whole.d_bias.size(); ++v)
      EXPECT_NEAR(parts.d_bias[v], whole.d_bias[v], 1e-6) << chunk_rows;
  }
}

TEST(HiddenLoss, IsNearlyEqualForPairsLongerThanAChunk) {
  const Problem complete;
  Problem without_chosen;  // the first pair, whose rejected sequence stays
  std::fill_n(without_chosen.labels.begin(), 5, RowLabels().ignored);
  for (const auto* problem : {&complete, &std::as_const(without_chosen)}) {
    const auto whole = (*problem)(Problem::rows);
    for (const std::int64_t chunk_rows : {1, 3, 11}) {
      const auto parts = (*problem)(chunk_rows);
      EXPECT_EQ(parts.loss, whole.loss) << chunk_rows;
      EXPECT_EQ(parts.log_prob, whole.log_prob) << chunk_rows;
      for (std::size_t i = 0; i < whole.d_hidden.size(); ++i)
        EXPECT_NEAR(parts.d_hidden[i], whole.d_hidden[i], 1e-6) << chunk_rows;
      for (std::size_t i = 0; i < whole.d_head.size(); ++i)
        EXPECT_NEAR(parts.d_head[i], whole.d_head[i], 1e-5) << chunk_rows;
    }
  }
}

}  // namespace
}  // namespace sp2dpo::cpu
