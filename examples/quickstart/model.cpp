// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace quickstart {
namespace {

torch::Tensor normal(std::int64_t rows, std::int64_t columns, double deviation) {
  return torch::randn({rows, columns}) * deviation;
}

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight) {
  return x * torch::rsqrt(x.square().mean(-1, /*keepdim=*/true) + 1e-6) * weight;
}

/// Rotates each pair (x_i, x_{i + d/2}) of the last dimension d by the angle of its position.
torch::Tensor rotated(const torch::Tensor& x, const torch::Tensor& cosines,
                      const torch::Tensor& sines) {
  const auto halves = x.chunk(2, -1);
  return torch::cat(
      {halves[0] * cosines - halves[1] * sines, halves[1] * cosines + halves[0] * sines}, -1);
}

}  // namespace

Layer::Layer(const DecoderConfig& config) : heads_(config.heads) {
  const auto width = config.width;
  const double deviation = 1 / std::sqrt(static_cast<double>(width));
  // Small initial updates keep the residual stream of a deep model from growing.
  const double out = deviation / std::sqrt(2.0 * static_cast<double>(config.layers));
  attention_norm_ = register_parameter("attention_norm", torch::ones({width}));
  query_key_value_ = register_parameter("query_key_value", normal(3 * width, width, deviation));
  attention_out_ = register_parameter("attention_out", normal(width, width, out));
  inner_norm_ = register_parameter("inner_norm", torch::ones({width}));
  gate_up_ = register_parameter("gate_up", normal(2 * config.inner, width, deviation));
  down_ = register_parameter("down", normal(width, config.inner, out));
}

torch::Tensor Layer::forward(torch::Tensor x, const torch::Tensor& cosines,
                             const torch::Tensor& sines, const torch::Tensor& mask) {
  const auto batch = x.size(0), length = x.size(1), width = x.size(2);
  const auto parts = torch::linear(rms_norm(x, attention_norm_), query_key_value_)
                         .view({batch, length, 3, heads_, width / heads_})
                         .permute({2, 0, 3, 1, 4});
  const auto query = rotated(parts[0], cosines, sines);
  const auto key = rotated(parts[1], cosines, sines);
  const double scale = 1 / std::sqrt(static_cast<double>(width / heads_));
  const auto weights =
      torch::softmax(torch::matmul(query, key.transpose(-1, -2)) * scale + mask, -1);
  const auto mixed =
      torch::matmul(weights, parts[2]).transpose(1, 2).reshape({batch, length, width});
  x = x + torch::linear(mixed, attention_out_);

  const auto gate_up = torch::linear(rms_norm(x, inner_norm_), gate_up_).chunk(2, -1);
  return x + torch::linear(torch::silu(gate_up[0]) * gate_up[1], down_);
}

Decoder::Decoder(const DecoderConfig& config) {
  embedding_ = register_parameter("embedding", normal(vocabulary, config.width, 0.05));
  norm_ = register_parameter("norm", torch::ones({config.width}));
  for (std::int64_t i = 0; i < config.layers; ++i)
    layers_.push_back(
        register_module("layer" + std::to_string(i), std::make_shared<Layer>(config)));

  const auto half = config.width / config.heads / 2;
  const auto frequencies =
      torch::pow(10000.0, -torch::arange(half, torch::kFloat) / static_cast<double>(half));
  const auto angles = torch::outer(torch::arange(config.context, torch::kFloat), frequencies);
  cosines_ = angles.cos();
  sines_ = angles.sin();
  mask_ = torch::full({config.context, config.context}, -std::numeric_limits<float>::infinity())
              .triu(1);
}

torch::Tensor Decoder::forward(const torch::Tensor& ids) {
  const auto length = ids.size(1);
  const auto first = [&](const torch::Tensor& table) { return table.slice(0, 0, length); };
  const auto mask = first(mask_).slice(1, 0, length);
  auto x = torch::embedding(embedding_, ids);
  for (auto& layer : layers_) x = layer->forward(x, first(cosines_), first(sines_), mask);
  return torch::linear(rms_norm(x, norm_), embedding_);
}

std::shared_ptr<Decoder> copy_of(const Decoder& model, const DecoderConfig& config) {
  torch::NoGradGuard no_grad;
  auto copy = std::make_shared<Decoder>(config);
  const auto from = model.parameters();
  const auto to = copy->parameters();
  for (std::size_t i = 0; i < from.size(); ++i) to[i].copy_(from[i]);
  return copy;
}

Batch make_batch(std::span<const Sequence* const> sequences) {
  const auto rows = std::ssize(sequences);
  std::int64_t length = 0;
  for (const auto* sequence : sequences) length = std::max(length, std::ssize(sequence->bytes));
  auto ids = torch::zeros({rows, length}, torch::kLong);
  auto written = torch::zeros({rows, length}, torch::kBool);
  auto response = torch::zeros({rows, length}, torch::kBool);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto& [bytes, begin] = *sequences[static_cast<std::size_t>(row)];
    auto* out = ids.data_ptr<std::int64_t>() + row * length;
    std::ranges::transform(bytes, out, [](char c) { return static_cast<unsigned char>(c); });
    const auto end = std::ssize(bytes);
    written[row].slice(0, 0, end).fill_(true);
    response[row].slice(0, static_cast<std::int64_t>(begin), end).fill_(true);
  }
  return {ids, ids.slice(1, 1), written.slice(1, 1), response.slice(1, 1)};
}

torch::Tensor token_log_probs(Decoder& model, const Batch& batch) {
  const auto logits = model.forward(batch.ids.slice(1, 0, batch.ids.size(1) - 1));
  return torch::log_softmax(logits, -1).gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1);
}

torch::Tensor response_log_probs(Decoder& model, const Batch& batch) {
  return token_log_probs(model, batch)
      .masked_fill(~batch.response, 0)
      .sum(-1, false, torch::kDouble);
}

}  // namespace quickstart
