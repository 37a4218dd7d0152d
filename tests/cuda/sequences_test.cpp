// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ptx/device_array.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

namespace sp2dpo::cuda {
namespace {

using ptx::DeviceArray;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t ignored = -100;

/// Sequences of these lengths, a third of their rows masked.
struct Batch {
  explicit Batch(const std::vector<std::int64_t>& lengths) {
    std::mt19937_64 random(lengths.size());
    for (const std::int64_t length : lengths) {
      bounds.push_back(bounds.back() + length);
      for (std::int64_t i = 0; i < length; ++i) {
        const bool masked = random() % 3 == 0;
        label.push_back(masked ? ignored : 1);
        // What a masked row holds must not matter.
        log_prob.push_back(masked ? NAN : -static_cast<double>(random() % 1000) / 100);
      }
    }
    sequences.count = static_cast<std::int64_t>(lengths.size());
    sequences.cu_seqlens = bounds.data();
  }

  [[nodiscard]] std::int64_t rows() const { return bounds.back(); }

  std::vector<std::int64_t> bounds{0}, label;
  std::vector<double> log_prob;
  Sequences sequences;
};

/// Compares the loss of the batch on the device with that on the host.
void expect_same_as_on_host(const Batch& batch, Sequences on_device, bool average,
                            double nll_scale) {
  const PairRows pairs(batch.sequences, {batch.label.data(), ignored}, batch.rows());
  const std::int64_t count = pairs.pairs();
  const auto size = static_cast<std::size_t>(count);
  const std::vector<double> zeros(size), beta(size, 0.1);
  const std::vector<double> untouched(batch.log_prob.size(), 7.0);

  std::vector<double> policy[2]{zeros, zeros}, slope[2]{zeros, zeros}, coefficient = untouched;
  const AnyObjective objective = Sigmoid{};
  PairOutputs outputs{.d_policy_chosen = {slope[0].data(), DType::float64},
                      .d_policy_rejected = {slope[1].data(), DType::float64},
                      .gradient_scale = 1 / static_cast<double>(count)};
  const SequenceLoss loss{.rows = pairs,
                          .objective = objective,
                          .inputs = {.beta = {beta.data(), DType::float64}},
                          .outputs = outputs,
                          .average_log_prob = average,
                          .nll_scale = nll_scale};
  LossSum sum;
  sequence_step(loss, 0, count, batch.log_prob.data(), policy[0].data(), policy[1].data(), sum);
  sp2dpo::row_coefficients(loss, 0, count, {slope[0].data(), DType::float64},
                           {slope[1].data(), DType::float64}, 2.0, coefficient.data());

  const DeviceArray<std::int64_t> label(batch.label), chosen_row_counts(size),
      rejected_row_counts(size);
  const DeviceArray<double> log_prob(batch.log_prob), chosen(size), rejected(size), d_chosen(size),
      d_rejected(size), device_coefficient(untouched), total(1), device_beta(beta);
  const SequenceRows rows{on_device, {label.data(), ignored}, average};
  const SequenceSums sums{chosen.data(), rejected.data(), chosen_row_counts.data(),
                          rejected_row_counts.data()};
  sequence_log_probs(rows, log_prob.data(), /*empty_allowed=*/true, sums, nullptr);
  pair_loss({.in = {.policy_chosen = {chosen.data(), DType::float64},
                    .policy_rejected = {rejected.data(), DType::float64},
                    .beta = {device_beta.data(), DType::float64}},
             .out = {.d_policy_chosen = {d_chosen.data(), DType::float64},
                     .d_policy_rejected = {d_rejected.data(), DType::float64},
                     .gradient_scale = outputs.gradient_scale},
             .total = {total.data(), DType::float64},
             .pairs = count},
            objective, nullptr);
  cuda::row_coefficients(rows, sums, {d_chosen.data(), DType::float64},
                         {d_rejected.data(), DType::float64}, 2.0, nll_scale,
                         device_coefficient.data(), nullptr);

  EXPECT_NEAR(total.get()[0], outputs.gradient_scale * sum.pairs, 1e-12);
  const auto got_chosen = chosen.get(), got_rejected = rejected.get();
  const auto got_coefficient = device_coefficient.get();
  const auto got_rows = chosen_row_counts.get();
  for (std::size_t i = 0; i < size; ++i) {
    EXPECT_NEAR(got_chosen[i], policy[0][i], 1e-10) << "pair " << i;
    EXPECT_NEAR(got_rejected[i], policy[1][i], 1e-10) << "pair " << i;
    EXPECT_EQ(got_rows[i], pairs.count(static_cast<std::int64_t>(i), PairRows::chosen));
  }
  std::vector<bool> in_a_pair(coefficient.size());
  for (const std::int64_t row : pairs.rows()) in_a_pair[static_cast<std::size_t>(row)] = true;
  for (std::size_t row = 0; row < coefficient.size(); ++row)
    if (in_a_pair[row])
      EXPECT_NEAR(got_coefficient[row], coefficient[row], 1e-12) << "row " << row;
    else if (batch.label[row] == ignored)
      EXPECT_TRUE(got_coefficient[row] == 0 || got_coefficient[row] == 7) << "row " << row;
    else
      EXPECT_EQ(got_coefficient[row], 7) << "row " << row << " of no pair";
}

TEST(CudaSequencesOnEveryDevice, MatchTheHostAtEveryLength) {
  // An empty one, a row, half a block, and more than a block's threads.
  Batch batch({1, 7, 300, 0, 1100, 513});
  const DeviceArray<std::int64_t> bounds(batch.bounds);
  for (const auto layout : {Sequences::Layout::halves, Sequences::Layout::interleaved})
    for (const bool average : {false, true}) {
      batch.sequences.layout = layout;
      Sequences on_device = batch.sequences;
      on_device.cu_seqlens = bounds.data();
      expect_same_as_on_host(batch, on_device, average, 0);
      expect_same_as_on_host(batch, on_device, average, 0.25);
    }
}

TEST(CudaSequencesOnEveryDevice, OfEqualLengthNeedNoBounds) {
  Batch batch({40, 40, 40, 40});
  Sequences on_device{.count = 4, .length = 40, .layout = Sequences::Layout::interleaved};
  batch.sequences.layout = on_device.layout;
  expect_same_as_on_host(batch, on_device, false, 0);
}

TEST(CudaSequencesOnEveryDevice, FollowLists) {
  Batch batch({5, 6, 7, 8, 9});
  const std::vector<std::int64_t> chosen{4, 0}, rejected{1, 3};  // sequence 2 belongs to no pair
  batch.sequences.layout = Sequences::Layout::listed;
  batch.sequences.chosen = chosen.data();
  batch.sequences.rejected = rejected.data();
  batch.sequences.pairs = 2;
  const DeviceArray<std::int64_t> bounds(batch.bounds), first(chosen), second(rejected);
  Sequences on_device = batch.sequences;
  on_device.cu_seqlens = bounds.data();
  on_device.chosen = first.data();
  on_device.rejected = second.data();
  expect_same_as_on_host(batch, on_device, true, 0);
}

TEST(CudaSequencesOnEveryDevice, AreNanIfEmptyAndNotAllowed) {
  const DeviceArray<std::int64_t> label(std::vector<std::int64_t>{ignored, 3}), rows(2);
  const DeviceArray<double> log_prob(std::vector{0.0, -2.0}), sums(2);
  sequence_log_probs({{.count = 2, .length = 1}, {label.data(), ignored}}, log_prob.data(),
                     /*empty_allowed=*/false,
                     {sums.data(), sums.data() + 1, rows.data(), rows.data() + 1}, nullptr);
  EXPECT_TRUE(std::isnan(sums.get()[0]));
  EXPECT_EQ(sums.get()[1], -2);
  EXPECT_THAT(rows.get(), testing::ElementsAre(0, 1));
}

/// The arguments of both calls, of one pair.
struct Arguments {
  std::int64_t label = 0, count = 0;
  double number = 0;
  SequenceRows batch{{.count = 2}, {&label}};
  const double* row_log_prob = &number;
  SequenceSums sums{&number, &number, &count, &count};
  PairValues d_chosen = 1.0, d_rejected = 1.0, upstream = 1.0;
  double* coefficient = &number;
};

TEST(CudaSequencesOnEveryDevice, NameTheArgumentThatIsMissing) {
  using Change = void (*)(Arguments&);
  const auto check = [](auto call, const std::string& name, Change change, const char* words) {
    Arguments arguments;
    change(arguments);
    EXPECT_THAT([&] { call(arguments); },
                ThrowsMessage<InvalidArgument>(HasSubstr(name + ": " + words)));
    arguments.batch.sequences = {};
    call(arguments);  // no pairs, nothing to read
  };
  const auto log_probs = [](const Arguments& a) {
    sequence_log_probs(a.batch, a.row_log_prob, true, a.sums, nullptr);
  };
  const auto coefficients = [](const Arguments& a) {
    row_coefficients(a.batch, a.sums, a.d_chosen, a.d_rejected, a.upstream, 0, a.coefficient,
                     nullptr);
  };
  const std::pair<Change, const char*> of_batch[] = {
      {[](Arguments& a) { a.batch.sequences.count = 3; }, "3 sequences do not form pairs"},
      {[](Arguments& a) { a.batch.sequences.length = -1; }, "sequences.length is -1"},
      {[](Arguments& a) {
         a.batch.sequences.layout = Sequences::Layout::listed;
         a.batch.sequences.pairs = 1;
       },
       "sequences.chosen or sequences.rejected is null"},
      {[](Arguments& a) { a.batch.labels.label = nullptr; }, "labels.label is null"}};
  for (const auto& [change, words] : of_batch) {
    check(log_probs, "cuda::sequence_log_probs", change, words);
    check(coefficients, "cuda::row_coefficients", change, words);
  }
  const std::pair<Change, std::string> of_sums[] = {
      {[](Arguments& a) { a.sums.chosen = nullptr; }, ".chosen is null"},
      {[](Arguments& a) { a.sums.rejected = nullptr; }, ".rejected is null"},
      {[](Arguments& a) { a.sums.chosen_row_counts = nullptr; }, ".chosen_row_counts is null"},
      {[](Arguments& a) { a.sums.rejected_row_counts = nullptr; }, ".rejected_row_counts is null"}};
  for (const auto& [change, words] : of_sums) {
    check(log_probs, "cuda::sequence_log_probs", change, ("out" + words).c_str());
    check(coefficients, "cuda::row_coefficients", change, ("sums" + words).c_str());
  }
  check(
      log_probs, "cuda::sequence_log_probs", [](Arguments& a) { a.row_log_prob = nullptr; },
      "row_log_prob is null");
  const std::pair<Change, const char*> of_coefficients[] = {
      {[](Arguments& a) {
         a.d_chosen = {nullptr, DType::float64};
       },
       "d_chosen is null"},
      {[](Arguments& a) {
         a.d_rejected = {nullptr, DType::float64};
       },
       "d_rejected is null"},
      {[](Arguments& a) {
         a.upstream = {nullptr, DType::float64};
       },
       "upstream is null"},
      {[](Arguments& a) { a.coefficient = nullptr; }, "coefficient is null"}};
  for (const auto& [change, words] : of_coefficients)
    check(coefficients, "cuda::row_coefficients", change, words);
}

}  // namespace
}  // namespace sp2dpo::cuda
