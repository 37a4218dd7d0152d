// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "ptx/device_array.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cpu/logits.hpp>
#include <sp2dpo/cuda/logits.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cuda {
namespace {

using ptx::DeviceArray;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t ignored = -100, pairs = 2, length = 4, vocab = 70,
                       rows = (2 * pairs + 1) * length;

enum class Mode { value, gradient, unit };

struct Result {
  std::vector<double> losses, policy, slopes, log_prob, coefficient;
  double total = 0;
  std::vector<float> gradient;
};

/// Two pairs among five sequences, a third of the rows masked; sequence 1 belongs to no pair.
struct Problem {
  Problem() {
    std::mt19937_64 random(3);
    std::normal_distribution<float> normal(0, 2);
    for (float& x : logits) x = normal(random);
    for (std::int64_t row = 0; row < rows; ++row)
      labels.push_back(row % 3 == 1 ? ignored : static_cast<std::int64_t>(random() % vocab));
  }

  [[nodiscard]] Sequences sequences(const std::int64_t* chosen_list,
                                    const std::int64_t* rejected_list) const {
    return {.count = 2 * pairs + 1,
            .length = length,
            .layout = Sequences::Layout::listed,
            .chosen = chosen_list,
            .rejected = rejected_list,
            .pairs = pairs};
  }
  /// The labels are read on the host only by cpu::logits_loss.
  [[nodiscard]] PairRows pair_rows(bool with_labels) const {
    return {sequences(chosen.data(), rejected.data()),
            {with_labels ? labels.data() : nullptr, ignored},
            rows};
  }
  [[nodiscard]] SequenceLoss loss(const PairRows& all, double* losses, double* slopes,
                                  const double* betas) const {
    return {.rows = all,
            .objective = objective,
            .inputs = {.beta = {betas, DType::float64}, .weight = 2.0},
            .outputs = {.loss = {losses, DType::float64},
                        .d_policy_chosen = {slopes, DType::float64},
                        .d_policy_rejected = {slopes + pairs, DType::float64},
                        .gradient_scale = 1.0 / pairs},
            .average_log_prob = average,
            .nll_scale = nll_scale};
  }
  static LogitsJob job(float* logits_, const std::int64_t* labels_, const double* ones, Mode mode) {
    LogitsJob job{.logits = {logits_, DType::float32, rows, vocab, vocab, {.stride = vocab}},
                  .labels = {labels_, ignored}};
    if (mode != Mode::value) job.gradient = {logits_, job.logits.layout};
    if (mode == Mode::unit) job.unit = ones;
    return job;
  }

  [[nodiscard]] Result on_host(Mode mode) const {
    Result result{std::vector<double>(pairs),
                  std::vector<double>(2 * pairs),
                  std::vector<double>(2 * pairs),
                  std::vector<double>(rows),
                  std::vector<double>(rows),
                  0,
                  logits};
    std::vector<double> lse_others(rows);
    const PairRows all = pair_rows(true);
    const SequenceLoss sequence_loss =
        loss(all, result.losses.data(), result.slopes.data(), beta.data());
    const LossSum sum = cpu::logits_loss(
        job(result.gradient.data(), labels.data(), ones.data(), mode), sequence_loss, nullptr,
        {.rows = {result.log_prob.data(), lse_others.data()},
         .policy_chosen = result.policy.data(),
         .policy_rejected = result.policy.data() + pairs,
         .d_chosen = result.slopes.data(),
         .d_rejected = result.slopes.data() + pairs,
         .coefficient = result.coefficient.data()});
    result.total = sum.pairs / pairs;
    return result;
  }

  struct Call {
    LogitsJob& job;
    SequenceLoss& loss;
    SequenceLists& lists;
    LogitsOutputs& out;
    RowMemory& memory;
  };

  [[nodiscard]] Result on_device(Mode mode,
                                 const std::function<void(const Call&)>& change = {}) const {
    const DeviceArray<float> memory(logits);
    const DeviceArray<std::int64_t> label(labels), first(chosen), second(rejected),
        counts(2 * pairs);
    const DeviceArray<double> betas(beta), losses(pairs), policy(2 * pairs), slopes(2 * pairs),
        log_prob(rows), lse_others(rows), coefficient(rows), total(1), device_ones(ones);
    const PairRows all = pair_rows(false);
    LogitsJob device_job = job(memory.data(), label.data(), device_ones.data(), mode);
    SequenceLoss sequence_loss = loss(all, losses.data(), slopes.data(), betas.data());
    SequenceLists lists{sequences(first.data(), second.data())};
    LogitsOutputs out{
        .rows = {log_prob.data(), lse_others.data()},
        .sums = {policy.data(), policy.data() + pairs, counts.data(), counts.data() + pairs},
        .d_chosen = slopes.data(),
        .d_rejected = slopes.data() + pairs,
        .coefficient = coefficient.data(),
        .total = {total.data(), DType::float64}};
    const DeviceArray<unsigned char> workspace(logits_workspace(device_job.logits, all));
    RowMemory space{workspace.data(), workspace.size()};
    if (change) change({device_job, sequence_loss, lists, out, space});
    logits_loss(device_job, sequence_loss, lists, out, space, nullptr);
    return {losses.get(),      policy.get(),      slopes.get(), log_prob.get(),
            coefficient.get(), total.get().at(0), memory.get()};
  }

  AnyObjective objective = Sigmoid{};
  bool average = false;
  double nll_scale = 0;
  std::vector<float> logits = std::vector<float>(rows * vocab);
  std::vector<std::int64_t> labels, chosen{0, 4}, rejected{2, 3};
  std::vector<double> beta{0.1, 0.3}, ones = std::vector<double>(rows, 1.0);
};

void expect_near(const auto& got, const auto& want, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i], 2e-6 * std::fabs(want[i]) + 1e-7) << what << " " << i;
}

TEST(CudaLogitsOnEveryDevice, MatchTheHost) {
  for (const AnyObjective& objective : {AnyObjective(Sigmoid{}), AnyObjective(NcaPair{})})
    for (const bool average : {false, true})
      for (const Mode mode : {Mode::value, Mode::gradient, Mode::unit}) {
        Problem problem;
        problem.objective = objective;
        problem.average = average;
        problem.nll_scale = average ? 0.1 : 0;
        const Result got = problem.on_device(mode), want = problem.on_host(mode);
        expect_near(got.losses, want.losses, "loss");
        expect_near(got.policy, want.policy, "policy");
        expect_near(got.slopes, want.slopes, "slope");
        expect_near(got.coefficient, want.coefficient, "coefficient");
        expect_near(got.gradient, want.gradient, "gradient");
        EXPECT_NEAR(got.total, want.total, 1e-6);
      }
}

TEST(CudaLogits, AreNanForAnEmptySequenceThatIsNotAllowed) {
  Problem problem;
  for (std::int64_t row = 0; row < length; ++row)
    problem.labels[static_cast<std::size_t>(row)] = ignored;
  const auto refuse_empty = [](const Problem::Call& call) { call.lists.empty_allowed = false; };
  const Result got = problem.on_device(Mode::value, refuse_empty);
  EXPECT_TRUE(std::isnan(got.losses[0]));
  EXPECT_FALSE(std::isnan(got.losses[1]));
  EXPECT_FALSE(std::isnan(problem.on_device(Mode::value).losses[0]));
}

TEST(CudaLogits, NameTheCallAndTheArrayAtFault) {
  using Call = const Problem::Call&;
  const Problem problem;
  const auto expect = [&](const std::function<void(Call)>& change, const char* words) {
    EXPECT_THAT([&] { (void)problem.on_device(Mode::gradient, change); },
                ThrowsMessage<InvalidArgument>(HasSubstr(words)));
  };
  expect([](Call c) { c.lists.sequences.pairs = 1; },
         "loss.rows has 2 pairs, and lists.sequences 1");
  expect([](Call c) { c.loss.skip_incomplete = true; }, "cuda::logits_loss: loss.skip_incomplete");
  expect([](Call c) { c.out.rows.log_prob = nullptr; }, "cuda::logits_loss: out.rows.log_prob is");
  expect([](Call c) { c.out.rows.lse_others = nullptr; }, "out.rows.lse_others is null");
  expect([](Call c) { c.out.coefficient = nullptr; }, "cuda::logits_loss: out.coefficient is null");
  expect([](Call c) { c.out.sums.chosen = nullptr; }, "cuda::logits_loss: out.sums.chosen is null");
  expect([](Call c) { c.out.d_chosen = nullptr; }, "cuda::logits_loss: out.d_chosen is null");
  expect([](Call c) { c.out.d_rejected = nullptr; }, "cuda::logits_loss: out.d_rejected is null");
  expect([](Call c) { c.loss.outputs.d_policy_chosen = {}; }, "loss.outputs.d_policy_chosen does");
  expect(
      [](Call c) {
        c.loss.inputs.beta = {nullptr, DType::float64};
      },
      "cuda::logits_loss: loss.inputs.beta is");
  expect([](Call c) { c.job.logits.data = nullptr; }, "logits.data is null");
}

}  // namespace
}  // namespace sp2dpo::cuda
