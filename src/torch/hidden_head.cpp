// SPDX-License-Identifier: Apache-2.0
#include "hidden_head.hpp"

#include "controls.hpp"
#include "upload.hpp"
#include <ATen/ATen.h>

namespace sp2dpo {

using at::Tensor;

HiddenHead::HiddenHead(const char* name, const Tensor& given_hidden, const Tensor& head_weight,
                       const Tensor& head_bias, const std::optional<std::int64_t>& vocab_size,
                       bool precise) {
  check_rows_tensor(name, given_hidden);
  TORCH_CHECK(head_weight.defined() && head_weight.dim() == 2 &&
                  head_weight.size(1) == given_hidden.size(-1) &&
                  head_weight.scalar_type() == given_hidden.scalar_type() &&
                  head_weight.device() == given_hidden.device(),
              "sp2dpo::Loss: the head's weight must be ", given_hidden.scalar_type(), " [V, ",
              given_hidden.size(-1), "] on ", given_hidden.device(), " as ", name, " ",
              given_hidden.sizes(), " is, not ",
              head_weight.defined() ? head_weight.toString() : "undefined", " ",
              head_weight.defined() ? head_weight.sizes() : at::IntArrayRef());
  check_readable("the head's weight", head_weight);
  const std::int64_t columns = head_weight.size(0);
  const std::int64_t vocab = vocab_size.value_or(columns);
  TORCH_CHECK(0 < vocab && vocab <= columns, "sp2dpo::Loss: vocab_size ", vocab,
              " must lie in [1, ", columns, "], the rows of the head's weight");
  const auto compute = precise && given_hidden.scalar_type() != at::kDouble
                           ? at::kFloat
                           : given_hidden.scalar_type();
  hidden = given_hidden.detach().reshape({-1, given_hidden.size(-1)}).to(compute).contiguous();
  head = head_weight.detach().narrow(0, 0, vocab).to(compute).contiguous();
  if (!head_bias.defined()) return;
  TORCH_CHECK(head_bias.dim() == 1 && head_bias.size(0) == columns &&
                  head_bias.scalar_type() == head_weight.scalar_type() &&
                  head_bias.device() == head_weight.device(),
              "sp2dpo::Loss: the head's bias must be ", head_weight.scalar_type(), " [", columns,
              "] on ", head_weight.device(), " as its weight ", head_weight.sizes(), " is, not ",
              head_bias.scalar_type(), " ", head_bias.sizes(), " on ", head_bias.device());
  check_readable("the head's bias", head_bias);
  bias = head_bias.detach().narrow(0, 0, vocab).to(compute).contiguous();
}

HiddenRows HiddenHead::rows(const LabelledPairs& pairs) {
  labels = uploaded(pairs.labels, hidden.device());
  return {.hidden = matrix_of(hidden),
          .head = matrix_of(head),
          .bias = bias.defined() ? bias.data_ptr() : nullptr,
          .labels = {labels.data_ptr<std::int64_t>(), pairs.ignore_index}};
}

void check_reference_rows(const Tensor& reference, const Tensor& policy) {
  TORCH_CHECK(row_shape(reference) == row_shape(policy), "sp2dpo::Loss: reference.hidden ",
              reference.sizes(), " must have the rows of the policy's ", policy.sizes());
  TORCH_CHECK(reference.device() == policy.device(), "sp2dpo::Loss: reference.hidden must be on ",
              policy.device(), " as the policy is, not on ", reference.device());
}

void check_workspace_bytes(const std::optional<std::int64_t>& bytes) {
  TORCH_CHECK(!bytes || *bytes > 0, "sp2dpo::Loss: workspace_bytes must be > 0, not ", *bytes);
}

}  // namespace sp2dpo
