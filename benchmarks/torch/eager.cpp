// SPDX-License-Identifier: Apache-2.0
#include "eager.hpp"

#include <algorithm>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace sp2dpo::benchmarks {
namespace {

using at::Tensor;

Tensor pair_loss(const Batch& batch, const Tensor& chosen, const Tensor& rejected) {
  const Tensor delta = (chosen - batch.reference_chosen) - (rejected - batch.reference_rejected);
  return -at::log_sigmoid(batch.beta * delta).mean();
}

Tensor answers(const Tensor& logits, const Tensor& labels, LogProbsBy by) {
  const Tensor masked = labels.eq(-100);
  const Tensor index = labels.masked_fill(masked, 0).unsqueeze(-1);
  const Tensor tokens = by == LogProbsBy::log_softmax
                            ? at::log_softmax(logits, -1).gather(-1, index).squeeze(-1)
                            : logits.gather(-1, index).squeeze(-1) - at::logsumexp(logits, {-1});
  return tokens.masked_fill(masked, 0).sum(-1, false, at::kFloat);
}

}  // namespace

std::string name_of(at::ScalarType dtype) {
  return dtype == at::kFloat ? "float32" : "bfloat16";
}

std::int64_t logits_bytes(const Shape& shape) {
  return shape.rows * shape.vocab * (shape.dtype == at::kFloat ? 4 : 2);
}

Batch::Batch(const Shape& of) : shape(of) {
  at::manual_seed(1);
  const auto real = at::TensorOptions(shape.dtype);
  const auto single = at::TensorOptions(at::kFloat);
  const std::int64_t pairs = shape.pairs;
  const auto wants_gradient = [](const Tensor& tensor) { return tensor.set_requires_grad(true); };
  beta = at::rand({pairs}, single) * 0.27 + 0.03;
  reference_chosen = at::randn({pairs}, single) * 10 - 100;
  reference_rejected = at::randn({pairs}, single) * 10 - 100;
  if (shape.level == 1) {
    policy_chosen = wants_gradient(reference_chosen + at::randn({pairs}, single));
    policy_rejected = wants_gradient(reference_rejected + at::randn({pairs}, single));
    return;
  }
  const std::int64_t tokens = shape.rows / (2 * pairs);
  labels = at::randint(0, shape.vocab, {2 * pairs, tokens}, at::TensorOptions(at::kLong));
  labels.narrow(1, 0, tokens * shape.mask_percent / 100).fill_(-100);
  if (shape.level == 2) {
    logits = at::empty({2 * pairs, tokens, shape.vocab}, real);
    // A float32 copy of all logits would be the process's largest tensor.
    for (std::int64_t i = 0; i < 2 * pairs; ++i)
      logits.select(0, i).copy_(at::randn({tokens, shape.vocab}, single) * 2);
    wants_gradient(logits);
  } else {
    const double width = static_cast<double>(shape.hidden);
    hidden = wants_gradient(at::randn({2 * pairs, tokens, shape.hidden}, single).to(shape.dtype));
    head = wants_gradient(
        (at::randn({shape.vocab, shape.hidden}, single) * (2 / std::sqrt(width))).to(shape.dtype));
  }
  // Of the size of these sequences' log-probabilities, so that the loss is near log 2.
  reference_chosen = at::randn({pairs}, single) - static_cast<double>(tokens);
  reference_rejected = at::randn({pairs}, single) - static_cast<double>(tokens);
}

LossAndGradients eager_loss(const Batch& batch, LogProbsBy by) {
  LossAndGradients result;
  std::vector<Tensor> inputs;
  if (batch.shape.level == 1) {
    inputs = {batch.policy_chosen, batch.policy_rejected};
    result.loss = pair_loss(batch, batch.policy_chosen, batch.policy_rejected);
  } else {
    const bool from_hidden = batch.shape.level == 3;
    const Tensor logits = from_hidden ? at::matmul(batch.hidden, batch.head.t()) : batch.logits;
    inputs = from_hidden ? std::vector{batch.hidden, batch.head} : std::vector{batch.logits};
    const auto sums = answers(logits, batch.labels, by).chunk(2);
    result.loss = pair_loss(batch, sums[0], sums[1]);
  }
  result.gradients = torch::autograd::grad({result.loss}, inputs);
  return result;
}

LossAndGradients eager_loss_and_metrics(const Batch& batch,
                                        std::map<std::string, double>& metrics) {
  LossAndGradients result = eager_loss(batch);
  const Tensor chosen = batch.policy_chosen.detach(), rejected = batch.policy_rejected.detach();
  const Tensor chosen_rewards = batch.beta * (chosen - batch.reference_chosen);
  const Tensor rejected_rewards = batch.beta * (rejected - batch.reference_rejected);
  const auto mean = [](const Tensor& values) { return values.mean().item<double>(); };
  metrics["rewards/chosen"] = mean(chosen_rewards);
  metrics["rewards/rejected"] = mean(rejected_rewards);
  metrics["rewards/accuracies"] = mean((chosen_rewards > rejected_rewards).to(at::kFloat));
  metrics["rewards/margins"] = mean(chosen_rewards - rejected_rewards);
  metrics["logps/chosen"] = mean(chosen);
  metrics["logps/rejected"] = mean(rejected);
  return result;
}

}  // namespace sp2dpo::benchmarks
