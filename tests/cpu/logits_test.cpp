// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/cpu/logits.hpp>
#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cpu {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using Bytes = std::vector<unsigned char>;

constexpr std::int64_t ignored = -100;
constexpr std::int64_t sequences = 7, length = 5, vocab = 23, rows = sequences * length, pairs = 3;

/// Three pairs among seven sequences, a third of the rows masked; sequence 2 belongs to no pair.
struct Problem {
  explicit Problem(DType dtype_, AnyObjective objective_ = Sigmoid{})
      : dtype(dtype_), objective(objective_) {
    std::mt19937_64 random(5);
    std::normal_distribution<double> normal(0, 2);
    for (std::int64_t i = 0; i < rows * vocab; ++i) {
      logits.resize(logits.size() + size_of(dtype));
      detail::store(logits.data(), dtype, i, normal(random));
    }
    for (std::int64_t row = 0; row < rows; ++row)
      labels.push_back(row % 3 == 1 ? ignored : static_cast<std::int64_t>(random() % vocab));
  }

  [[nodiscard]] Sequences listed() const {
    return {.count = sequences,
            .length = length,
            .layout = Sequences::Layout::listed,
            .chosen = chosen.data(),
            .rejected = rejected.data(),
            .pairs = pairs};
  }
  [[nodiscard]] LogitRows logit_rows(const Bytes& bytes) const {
    return {bytes.data(), dtype, rows, vocab, vocab, {.stride = vocab}};
  }

  DType dtype;
  AnyObjective objective;
  Bytes logits;
  std::vector<std::int64_t> labels, chosen{0, 6, 3}, rejected{1, 4, 5};
  std::vector<double> beta{0.1, 0.3, 0.05};
  bool average = false;
  double nll_scale = 0;
};

struct Result {
  double loss = 0, nll = 0;
  std::vector<double> losses, policy, slopes, log_prob, coefficient;
  Bytes gradient;
  bool operator==(const Result&) const = default;
};

/// All that a call writes, and the loss as it is told to the call.
struct Written : Result {
  Written(const Problem& problem, const PairRows& pair_rows)
      : Result{.losses = std::vector<double>(pairs),
               .policy = std::vector<double>(2 * pairs),
               .slopes = std::vector<double>(2 * pairs),
               .log_prob = std::vector<double>(rows),
               .coefficient = std::vector<double>(rows),
               .gradient = problem.logits},
        sequence_loss{.rows = pair_rows,
                      .objective = problem.objective,
                      .inputs = {.beta = {problem.beta.data(), DType::float64}, .weight = 2.0},
                      .outputs = {.loss = {losses.data(), DType::float64},
                                  .d_policy_chosen = {slopes.data(), DType::float64},
                                  .d_policy_rejected = {slopes.data() + pairs, DType::float64},
                                  .gradient_scale = 1.0 / pairs},
                      .average_log_prob = problem.average,
                      .nll_scale = problem.nll_scale} {}

  [[nodiscard]] SequenceOutputs outputs() {
    return {.rows = {.log_prob = log_prob.data(), .lse_others = lse_others.data()},
            .policy_chosen = policy.data(),
            .policy_rejected = policy.data() + pairs,
            .d_chosen = slopes.data(),
            .d_rejected = slopes.data() + pairs,
            .coefficient = coefficient.data()};
  }
  Result with(const LossSum& sum) {
    loss = sum.total(sequence_loss);
    nll = sum.nll;
    return *this;
  }

  std::vector<double> lse_others = std::vector<double>(rows);
  SequenceLoss sequence_loss;
};

enum class Mode { value, gradient, unit };

Result by_one_call(const Problem& problem, Mode mode) {
  const PairRows pair_rows(problem.listed(), {problem.labels.data(), ignored}, rows);
  Written written(problem, pair_rows);
  const std::vector<double> ones(rows, 1.0);
  LogitsJob job{.logits = problem.logit_rows(written.gradient),
                .labels = {problem.labels.data(), ignored}};
  if (mode != Mode::value) job.gradient = {written.gradient.data(), job.logits.layout};
  if (mode == Mode::unit) job.unit = ones.data();
  return written.with(logits_loss(job, written.sequence_loss, nullptr, written.outputs()));
}

/// The same in three steps over the whole batch.
Result by_steps(const Problem& problem, Mode mode) {
  const PairRows pair_rows(problem.listed(), {problem.labels.data(), ignored}, rows);
  Written written(problem, pair_rows);
  const SequenceOutputs out = written.outputs();
  const RowLabels labels{problem.labels.data(), ignored};
  const LogitRows logits = problem.logit_rows(written.gradient);
  const GradientRows gradient{written.gradient.data(), logits.layout};
  const std::vector<double> ones(rows, 1.0);
  if (mode == Mode::unit)
    row_log_probs_and_gradient(logits, labels, {0, rows}, out.rows, ones.data(), gradient);
  else
    row_log_probs(logits, labels, pair_rows.select(0, pairs), out.rows);
  LossSum sum;
  sequence_step(written.sequence_loss, 0, pairs, out.rows.log_prob, out.policy_chosen,
                out.policy_rejected, sum);
  row_coefficients(written.sequence_loss, 0, pairs, {out.d_chosen, DType::float64},
                   {out.d_rejected, DType::float64}, 1.0, out.coefficient);
  if (mode == Mode::gradient)
    row_gradient(logits, labels, {0, rows}, out.rows.lse_others, out.coefficient, gradient);
  return written.with(sum);
}

TEST(LogitsLoss, IsBitIdenticalToItsSteps) {
  for (const AnyObjective& objective : {AnyObjective(Sigmoid{}), AnyObjective(NcaPair{})})
    for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64})
      for (const bool average : {false, true})
        for (const Mode mode : {Mode::value, Mode::gradient, Mode::unit}) {
          Problem problem(dtype, objective);
          problem.average = average;
          problem.nll_scale = average ? 0.2 : 0;
          EXPECT_TRUE(by_one_call(problem, mode) == by_steps(problem, mode))
              << name_of(dtype) << ", mode " << static_cast<int>(mode);
        }
}

TEST(LogitsLoss, GivesTheSameLossInEveryMode) {
  const Problem problem(DType::float32);
  const Result value = by_one_call(problem, Mode::value);
  for (const Mode mode : {Mode::gradient, Mode::unit}) {
    const Result other = by_one_call(problem, mode);
    EXPECT_EQ(other.loss, value.loss);
    EXPECT_EQ(other.losses, value.losses);
    EXPECT_EQ(other.coefficient, value.coefficient);
  }
}

TEST(LogitsLoss, KeepsMissingArraysInItsWorkspace) {
  const Problem problem(DType::float32);
  const Result want = by_one_call(problem, Mode::gradient);
  const PairRows pair_rows(problem.listed(), {problem.labels.data(), ignored}, rows);
  Written written(problem, pair_rows);
  written.sequence_loss.outputs.d_policy_chosen =
      written.sequence_loss.outputs.d_policy_rejected = {};
  LogitsJob job{.logits = problem.logit_rows(written.gradient),
                .labels = {problem.labels.data(), ignored}};
  job.gradient = {written.gradient.data(), job.logits.layout};
  std::vector<double> workspace(logits_workspace(job.logits, pair_rows) / sizeof(double) + 1, 7.0);
  const LossSum sum = logits_loss(job, written.sequence_loss, workspace.data());
  EXPECT_EQ(sum.total(written.sequence_loss), want.loss);
  EXPECT_EQ(written.losses, want.losses);
  EXPECT_EQ(written.gradient, want.gradient);
  EXPECT_EQ(workspace.back(), 7.0) << "written past its end";
}

TEST(LogitsLoss, NamesTheCallAndTheArrayAtFault) {
  struct Call {
    LogitsJob job;
    SequenceLoss loss;
    SequenceOutputs out;
  };
  Problem problem(DType::float32);
  const PairRows pair_rows(problem.listed(), {problem.labels.data(), ignored}, rows);
  const auto expect = [&](const std::function<void(Call&)>& change, const char* words) {
    Written written(problem, pair_rows);
    Call call{{.logits = problem.logit_rows(written.gradient),
               .labels = {problem.labels.data(), ignored},
               .gradient = {written.gradient.data(), {.stride = vocab}}},
              written.sequence_loss,
              written.outputs()};
    change(call);
    EXPECT_THAT(
        [&] { (void)logits_loss(call.job, call.loss, nullptr, call.out); },
        ThrowsMessage<InvalidArgument>(HasSubstr(std::string("cpu::logits_loss: ") + words)))
        << words;
    EXPECT_EQ(written.gradient, problem.logits) << words;
  };
  expect([](Call& c) { c.job.logits.data = nullptr; }, "logits.data is null");
  expect([](Call& c) { c.job.labels.label = nullptr; }, "labels.label is null");
  expect([](Call& c) { c.job.logits.vocab = 0; }, "logits.vocab is 0");
  expect([](Call& c) { c.job.logits.rows = 30; }, "the pairs contain row");
  expect([](Call& c) { c.job.gradient.layout.stride = vocab + 1; }, "a gradient in the memory");
  expect([](Call& c) { c.out.coefficient = nullptr; }, "workspace is null");
  expect([](Call& c) { c.out.d_chosen = nullptr; }, "workspace is null");
  expect([](Call& c) { c.loss.outputs.d_policy_rejected = {}; },
         "loss.outputs.d_policy_rejected does not write");
  expect([](Call& c) { c.loss.inputs.beta = {nullptr, DType::float64}; }, "loss.inputs.beta is");
  problem.labels[0] = vocab;
  expect([](Call&) {}, "the label of row 0 is 23; expected a token in [0, 23) or -100");
}

}  // namespace
}  // namespace sp2dpo::cpu
