// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "ptx/device_array.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cuda {

using ptx::DeviceArray;
using Bytes = std::vector<unsigned char>;

inline constexpr std::int64_t ignored = -100;
inline constexpr std::int64_t rows = 26, vocab = 70, width = 24, pair_count = 3;

inline Matrix matrix(void* data, DType dtype, std::int64_t height, std::int64_t breadth) {
  return {data, dtype, height, breadth, breadth};
}

inline std::vector<double> numbers(const Bytes& bytes, DType dtype) {
  std::vector<double> values(bytes.size() / size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = detail::load(bytes.data(), dtype, static_cast<std::int64_t>(i));
  return values;
}

struct Result {
  std::vector<double> policy, losses, slopes, d_hidden, d_head, d_bias;
};

/// Three pairs of sequences of one to eight rows, some of them masked.
struct Problem {
  explicit Problem(DType dtype_, std::int64_t vocab_ = cuda::vocab) : dtype(dtype_), vocab(vocab_) {
    std::mt19937_64 random(11);
    std::normal_distribution<double> normal(0, 0.7);
    for (auto [bytes, count] :
         {std::pair{&hidden, rows * width}, {&head, vocab * width}, {&bias, vocab}}) {
      bytes->resize(static_cast<std::size_t>(count) * size_of(dtype));
      for (std::int64_t i = 0; i < count; ++i)
        detail::store(bytes->data(), dtype, i, normal(random));
    }
    for (std::int64_t i = 0; i < rows; ++i)
      labels.push_back(
          i % 5 == 3 ? ignored
                     : static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocab)));
  }

  [[nodiscard]] PairRows pairs() const {
    return {{.count = 2 * pair_count, .cu_seqlens = bounds.data()}, {labels.data(), ignored}, rows};
  }

  /// `given` are where the matrices are, `out` where the gradients go.
  [[nodiscard]] HiddenRows hidden_rows(const void* hidden_, const void* head_, const void* bias_,
                                       const std::int64_t* labels_, void* d_hidden, void* d_head,
                                       void* d_bias) const {
    return {.hidden = as_const(matrix(const_cast<void*>(hidden_), dtype, rows, width)),
            .head = as_const(matrix(const_cast<void*>(head_), dtype, vocab, width)),
            .bias = with_bias ? bias_ : nullptr,
            .labels = {labels_, ignored},
            .d_hidden = matrix(d_hidden, dtype, rows, width),
            .d_head = matrix(d_head, DType::float32, vocab, width),
            .d_bias = matrix(d_bias, DType::float32, 1, vocab),
            .add = add};
  }

  [[nodiscard]] Result on_host(std::int64_t chunk_rows) const {
    Bytes d_hidden(hidden.size());
    Bytes d_head = float_bytes(vocab * width), d_bias = float_bytes(vocab);
    const HiddenRows all = hidden_rows(hidden.data(), head.data(), bias.data(), labels.data(),
                                       d_hidden.data(), d_head.data(), d_bias.data());
    const PairRows pair_rows = pairs();
    std::vector<double> policy(2 * pair_count), losses(pair_count), slopes(2 * pair_count),
        log_prob(rows), coefficient(rows);
    const SequenceLoss loss = sequence_loss(pair_rows, outputs_of(losses.data(), slopes.data()),
                                            beta.data(), reference_sums);
    // The library's CPU products have one type throughout; here a float32 sum of 16-bit products
    // has exact terms.
    const auto product = [](const cpu::MatrixProduct::Operand& a,
                            const cpu::MatrixProduct::Operand& b, const Matrix& out, bool more) {
      const auto at = [](const cpu::MatrixProduct::Operand& x, std::int64_t i, std::int64_t j) {
        if (x.transposed) std::swap(i, j);
        return detail::load(x.matrix.data, x.matrix.dtype, i * x.matrix.stride + j);
      };
      const std::int64_t inner = a.transposed ? a.matrix.rows : a.matrix.columns;
      for (std::int64_t i = 0; i < out.rows; ++i)
        for (std::int64_t j = 0; j < out.columns; ++j) {
          double sum = more ? detail::load(out.data, out.dtype, i * out.stride + j) : 0;
          for (std::int64_t k = 0; k < inner; ++k) sum += at(a, i, k) * at(b, k, j);
          detail::store(out.data, out.dtype, i * out.stride + j, sum);
        }
    };
    std::vector<unsigned char> workspace(cpu::hidden_workspace(all, pair_rows, chunk_rows) + 64);
    auto* const aligned =
        workspace.data() + 64 - reinterpret_cast<std::uintptr_t>(workspace.data()) % 64;
    cpu::hidden_loss(all, loss, chunk_rows, aligned,
                     {.rows = {.log_prob = log_prob.data()},
                      .policy_chosen = policy.data(),
                      .policy_rejected = policy.data() + pair_count,
                      .d_chosen = slopes.data(),
                      .d_rejected = slopes.data() + pair_count,
                      .coefficient = coefficient.data()},
                     product);
    return {policy,
            losses,
            slopes,
            numbers(d_hidden, dtype),
            numbers(d_head, DType::float32),
            numbers(d_bias, DType::float32)};
  }

  /// The pairs as passed to the device.
  [[nodiscard]] PairRows listed() const {
    return {{.count = 2 * pair_count, .cu_seqlens = bounds.data()},
            {lists_masked ? nullptr : labels.data(), ignored},
            rows};
  }

  /// The arguments of a call, to be changed before it is made.
  struct Call {
    HiddenRows& rows;
    SequenceLoss& loss;
    PairRowLists& lists;
    HiddenOutputs& out;
    std::int64_t& chunk_rows;
    RowMemory& memory;
    ConstMatrix& reference;
  };
  using Change = std::function<void(const Call&)>;

  [[nodiscard]] Result on_device(std::int64_t chunk_rows, std::uint64_t* bad_row = nullptr,
                                 const Change& change = {}, int calls = 1) const {
    OnDevice device(*this, chunk_rows);
    if (change) change(device.call());
    MatrixProducts products;
    for (int i = 0; i < calls; ++i)
      around([&] {
        hidden_loss(device.job, device.loss, device.out, device.memory, products, stream);
      });
    if (bad_row != nullptr) *bad_row = device.bad.get()[0];
    return {device.policy.get(),
            device.losses.get(),
            device.slopes.get(),
            device.job.rows.d_hidden.data == nullptr ? std::vector<double>()
                                                     : numbers(device.d_hidden.get(), dtype),
            numbers(device.d_head.get(), DType::float32),
            numbers(device.d_bias.get(), DType::float32)};
  }

  struct LogProbs {
    std::vector<double> policy;
    std::vector<std::int64_t> counts;
  };

  /// Calls hidden_log_probs with the same arguments; `call.out.sums` is its `out`.
  [[nodiscard]] LogProbs log_probs_on_device(std::int64_t chunk_rows,
                                             const Change& change = {}) const {
    OnDevice device(*this, chunk_rows);
    device.job.rows.d_hidden.data = device.job.rows.d_head.data = device.job.rows.d_bias.data =
        nullptr;
    device.memory.workspace_bytes = hidden_workspace(device.job, device.pair_rows);
    if (change) change(device.call());
    MatrixProducts products;
    hidden_log_probs(device.job, device.pair_rows, average, device.out.sums, device.memory,
                     products, stream);
    return {device.policy.get(), device.counts.get()};
  }

  /// The numbers that the gradients of head and bias are added to.
  static Bytes float_bytes(std::int64_t count) {
    Bytes bytes(static_cast<std::size_t>(count) * sizeof(float));
    for (std::int64_t i = 0; i < count; ++i)
      detail::store(bytes.data(), DType::float32, i, 0.25 * static_cast<double>(i % 3));
    return bytes;
  }
  static PairOutputs outputs_of(double* losses, double* slopes) {
    return {.loss = {losses, DType::float64},
            .d_policy_chosen = {slopes, DType::float64},
            .d_policy_rejected = {slopes + pair_count, DType::float64},
            .gradient_scale = 1.0 / pair_count};
  }
  [[nodiscard]] SequenceLoss sequence_loss(const PairRows& pair_rows, const PairOutputs& outputs,
                                           const double* betas,
                                           const std::vector<double>& references) const {
    PairInputs inputs{.beta = {betas, DType::float64}, .margin = margin, .weight = 2.0};
    if (!references.empty()) {
      inputs.reference_chosen = {references.data(), DType::float64};
      inputs.reference_rejected = {references.data() + pair_count, DType::float64};
    }
    return {.rows = pair_rows,
            .objective = objective,
            .inputs = inputs,
            .outputs = outputs,
            .average_log_prob = average,
            .skip_incomplete = skip_incomplete,
            .nll_scale = nll_scale};
  }

  DType dtype;
  std::int64_t vocab;
  AnyObjective objective = Sigmoid{};
  LongPairs long_pairs = LongPairs::recompute;
  /// Makes the call on the device.
  std::function<void(const std::function<void()>&)> around = [](const auto& call) { call(); };
  bool with_bias = true, add = true, average = false, skip_incomplete = false;
  Stream stream = nullptr;
  bool lists_masked = false;  // as if the labels had not been read
  double margin = 0, nll_scale = 0;
  Bytes hidden, head, bias;
  Bytes reference;                     // hidden states under the same head, for the device
  std::vector<double> reference_sums;  // [2P], for the host
  std::vector<std::int64_t> labels, bounds{0, 5, 6, 13, 17, 18, rows};
  std::vector<double> beta{0.1, 0.3, 0.05};

 private:
  /// The device memory of a call, and its arguments.
  struct OnDevice {
    OnDevice(const Problem& problem, std::int64_t chunk_rows)
        : pair_rows(problem.listed()),
          hidden(problem.hidden),
          head(problem.head),
          bias(problem.bias),
          reference(problem.reference),
          d_hidden(problem.hidden.size()),
          d_head(float_bytes(problem.vocab * width)),
          d_bias(float_bytes(problem.vocab)),
          labels(problem.labels),
          counts(2 * pair_count),
          list(pair_rows.rows()),
          bounds(pair_rows.bounds()),
          policy(2 * pair_count),
          losses(pair_count),
          slopes(2 * pair_count),
          beta(problem.beta),
          bad(std::vector{no_bad_row}),
          job{.rows = problem.hidden_rows(hidden.data(), head.data(), bias.data(), labels.data(),
                                          d_hidden.data(), d_head.data(), d_bias.data()),
              .lists = {list.data(), bounds.data()},
              .chunk_rows = chunk_rows,
              .reference = as_const(matrix(problem.reference.empty() ? nullptr : reference.data(),
                                           problem.dtype, rows, width)),
              .long_pairs = problem.long_pairs},
          loss(problem.sequence_loss(pair_rows, outputs_of(losses.data(), slopes.data()),
                                     beta.data(), {})),
          out{{policy.data(), policy.data() + pair_count, counts.data(),
               counts.data() + pair_count},
              slopes.data(),
              slopes.data() + pair_count},
          workspace(hidden_workspace(job, loss)),
          memory{workspace.data(), workspace.size(), bad.data()} {}

    Call call() { return {job.rows, loss, job.lists, out, job.chunk_rows, memory, job.reference}; }

    PairRows pair_rows;
    DeviceArray<unsigned char> hidden, head, bias, reference, d_hidden, d_head, d_bias;
    DeviceArray<std::int64_t> labels, counts, list, bounds;
    DeviceArray<double> policy, losses, slopes, beta;
    DeviceArray<std::uint64_t> bad;
    HiddenJob job;
    SequenceLoss loss;
    HiddenOutputs out;
    DeviceArray<unsigned char> workspace;
    RowMemory memory;
  };
};

inline void expect_near(const std::vector<double>& got, const std::vector<double>& want,
                        double tolerance, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  double scale = 0;
  for (const double x : want) scale = std::max(scale, std::fabs(x));
  for (std::size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * scale) << what << " " << i;
}

inline void expect_same(const Result& got, const Result& want, double tolerance) {
  expect_near(got.policy, want.policy, tolerance, "policy");
  expect_near(got.losses, want.losses, tolerance, "loss");
  expect_near(got.slopes, want.slopes, tolerance, "slope");
  expect_near(got.d_hidden, want.d_hidden, tolerance, "d_hidden");
  expect_near(got.d_head, want.d_head, tolerance, "d_head");
  expect_near(got.d_bias, want.d_bias, tolerance, "d_bias");
}

}  // namespace sp2dpo::cuda
