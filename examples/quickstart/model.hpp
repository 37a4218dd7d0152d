// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text.hpp"
#include <torch/nn/module.h>
#include <torch/types.h>

namespace quickstart {

struct DecoderConfig {
  std::int64_t width = 96;
  std::int64_t layers = 3;
  std::int64_t heads = 4;
  std::int64_t inner = 256;  ///< width of the feed-forward part
  std::int64_t context = 128;
};

/// One layer: causal attention with rotary positions, then a SwiGLU feed-forward part. Each reads
/// a normalised copy of the residual stream and adds to it.
class Layer : public torch::nn::Module {
 public:
  explicit Layer(const DecoderConfig& config);

  /// Takes `x` [B, T, width], `cosines` and `sines` [T, width / heads / 2], and a `mask` [T, T],
  /// which is added to the scores.
  torch::Tensor forward(torch::Tensor x, const torch::Tensor& cosines, const torch::Tensor& sines,
                        const torch::Tensor& mask);

 private:
  std::int64_t heads_;
  torch::Tensor attention_norm_, query_key_value_, attention_out_;
  torch::Tensor inner_norm_, gate_up_, down_;
};

/// A small language model over bytes. Its head shares the weight of the embedding.
class Decoder : public torch::nn::Module {
 public:
  explicit Decoder(const DecoderConfig& config);

  /// `ids` [B, T] int64, T <= context. Returns logits [B, T, 256].
  torch::Tensor forward(const torch::Tensor& ids);

 private:
  torch::Tensor embedding_, norm_, cosines_, sines_, mask_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

/// Copies a model with its weights.
std::shared_ptr<Decoder> copy_of(const Decoder& model, const DecoderConfig& config);

/// Sequences padded to the length of the longest one.
struct Batch {
  torch::Tensor ids;       ///< [B, T] int64
  torch::Tensor targets;   ///< [B, T-1]: the next byte at each position
  torch::Tensor written;   ///< [B, T-1] bool: the target is not padding
  torch::Tensor response;  ///< [B, T-1] bool: the target is part of the response
};

Batch make_batch(std::span<const Sequence* const> sequences);

/// Log-probability of each target under the model, in nats: [B, T-1].
torch::Tensor token_log_probs(Decoder& model, const Batch& batch);

/// Log-probability of each response given its prompt: [B], float64.
torch::Tensor response_log_probs(Decoder& model, const Batch& batch);

}  // namespace quickstart
