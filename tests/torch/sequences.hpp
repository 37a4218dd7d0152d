// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

#include <sp2dpo/torch/loss.hpp>

/// Shared by the tests of the losses of sequences.
namespace sp2dpo {

using at::Tensor;

constexpr std::int64_t masked = -100;

/// A batch of sequences, its labels and all that its loss is made of.
struct Batch {
  std::int64_t pairs = 3, length = 5, vocab = 11, width = 6;
  Tensor labels, hidden, weight, bias, logits;
  LogProbs reference;
  Tensor beta, margin, share;

  explicit Batch(at::ScalarType dtype = at::kDouble, std::int64_t vocab_ = 11) : vocab(vocab_) {
    at::manual_seed(7);
    const auto normal = [&](at::IntArrayRef shape, double scale) {
      return (at::randn(shape, at::kDouble) * scale).to(dtype);
    };
    labels = at::randint(vocab, {2 * pairs, length}, at::kLong);
    labels.masked_fill_(at::rand(labels.sizes()) < 0.4, masked);
    labels.select(1, 1).fill_(vocab - 1);  // every response has a row
    hidden = normal({2 * pairs, length, width}, 1);
    weight = normal({vocab, width}, 0.7);
    bias = normal({vocab}, 0.5);
    logits = normal({2 * pairs, length, vocab}, 2);
    reference = {at::randn({pairs}, at::kDouble) * 2 - 6, at::randn({pairs}, at::kDouble) * 2 - 6};
    beta = at::rand({pairs}, at::kDouble) * 0.27 + 0.03;
    margin = at::randn({pairs}, at::kDouble) * 0.1;
    share = at::rand({pairs}, at::kDouble) + 0.5;
  }
};

/// Log-probabilities of whole responses [sequences] by libtorch's own operations, in double.
inline Tensor plain_log_probs(const Tensor& logits, const Tensor& labels, bool average = false) {
  const Tensor mask = labels != masked;
  const Tensor index = labels.masked_fill(mask.logical_not(), 0).unsqueeze(-1);
  const Tensor token = at::log_softmax(logits.to(at::kDouble), -1).gather(-1, index).squeeze(-1);
  const Tensor sum = at::where(mask, token, at::zeros({}, at::kDouble)).sum(-1);
  return average ? sum / mask.sum(-1).clamp_min(1) : sum;
}

/// The loss by pair, by libtorch's own operations.
inline Tensor plain_loss(const Tensor& chosen, const Tensor& rejected, const LogProbs& reference,
                         const Tensor& beta, const Tensor& margin) {
  const Tensor z = beta * ((chosen - reference.chosen) - (rejected - reference.rejected)) - margin;
  return -at::log_sigmoid(z);
}

inline Tensor leaf(const Tensor& t) {
  return t.detach().clone().requires_grad_();
}

inline double worst(const Tensor& a, const Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

inline double tolerance(at::ScalarType dtype) {
  return dtype == at::kDouble  ? 1e-13
         : dtype == at::kFloat ? 2e-6
         : dtype == at::kHalf  ? 2e-3
                               : 1e-2;
}

}  // namespace sp2dpo
