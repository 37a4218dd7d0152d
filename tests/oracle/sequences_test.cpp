// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include "oracle_case.hpp"
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;

/// The batch of a file as tensors: sequences of T rows, hidden states of width H.
struct Batch {
  Batch(const OracleCase& oracle, at::ScalarType dtype) {
    const auto tensor = [&](const char* name) { return at::tensor(oracle[name], at::kDouble); };
    beta = tensor("beta");
    const std::int64_t sequences = 2 * beta.numel();
    labels = tensor("labels").to(at::kLong).view({sequences, -1});
    hidden = tensor("hidden").to(dtype).view({sequences, labels.size(1), -1});
    head = tensor("head").to(dtype).view({-1, hidden.size(2)});
    const auto halves = tensor("reference").chunk(2);
    reference = {halves[0], halves[1]};
  }

  Tensor beta, labels, hidden, head;
  LogProbs reference;
};

std::vector<double> numbers(const Tensor& tensor) {
  const Tensor flat = tensor.detach().to(at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// Compares the loss from hidden states, and its gradients, with the oracle's.
template <class Objective>
void expect_match_from_hidden(const OracleCase& oracle, const Batch& batch, double tolerance) {
  const auto out = Loss(oracle.objective<Objective>())
                       .value_and_grad_from_hidden(batch.hidden, batch.head, {}, batch.labels,
                                                   batch.reference, {.beta = batch.beta});
  expect_close(numbers(out.output.losses()), oracle["losses"], tolerance, "losses");
  expect_close(numbers(out.hidden), oracle["d_hidden"], tolerance, "d_hidden");
  expect_close(numbers(out.head_weight), oracle["d_head"], tolerance, "d_head");
}

template <class Objective>
class TrlSequences : public testing::Test {};
TYPED_TEST_SUITE(TrlSequences, InTrl, );

template <class Objective>
class LigerSequences : public testing::Test {};
TYPED_TEST_SUITE(LigerSequences, InLiger, );

TYPED_TEST(TrlSequences, MatchLossAndGradientFromLogits) {
  const OracleCase oracle("trl", TypeParam::name);
  if (oracle.missing()) GTEST_SKIP() << oracle.why();
  Batch batch(oracle, at::kDouble);
  batch.reference.averaged = averages_log_probs<TypeParam>;
  const Tensor logits = batch.hidden.matmul(batch.head.t()).requires_grad_();
  batch.beta.requires_grad_();
  const auto out = Loss(oracle.objective<TypeParam>())
                       .from_logits(logits, batch.labels, batch.reference, {.beta = batch.beta});
  out.loss.backward();
  expect_close(numbers(out.losses()), oracle["losses"], 1e-12, "losses");
  expect_close(numbers(logits.grad()), oracle["d_logits"], 1e-12, "d_logits");
  expect_close(numbers(batch.beta.grad()), oracle["d_beta"], 1e-12, "d_beta");
}

TYPED_TEST(TrlSequences, MatchLossAndGradientFromHiddenStates) {
  const OracleCase oracle("trl", TypeParam::name);
  if (oracle.missing()) GTEST_SKIP() << oracle.why();
  Batch batch(oracle, at::kDouble);
  batch.reference.averaged = averages_log_probs<TypeParam>;
  expect_match_from_hidden<TypeParam>(oracle, batch, 1e-12);
}

TYPED_TEST(LigerSequences, MatchLossAndGradientFromHiddenStates) {
  const OracleCase oracle("liger", TypeParam::name);
  if (oracle.missing()) GTEST_SKIP() << oracle.why();
  const Batch batch(oracle, at::kFloat);
  expect_match_from_hidden<TypeParam>(oracle, batch, 1e-6);
}

}  // namespace
}  // namespace sp2dpo
