// SPDX-License-Identifier: Apache-2.0
#include "reference.hpp"

#include <algorithm>

#include "hidden.hpp"
#include "logits.hpp"
#include "pairs.hpp"
#include <ATen/ATen.h>

namespace sp2dpo {
namespace {

/// As given; sums where means are wanted, and the other way round, are converted.
at::Tensor given_answers(const LogProbs& reference, const at::Device& device,
                         const LabelledPairs& pairs, bool average) {
  const at::Tensor shape = at::empty({pairs.pairs()}, at::TensorOptions(device).dtype(at::kDouble));
  check_log_probs("reference.chosen", reference.chosen, shape);
  check_log_probs("reference.rejected", reference.rejected, shape);
  const at::Tensor result = at::stack(
      {reference.chosen.detach().to(at::kDouble), reference.rejected.detach().to(at::kDouble)});
  if (reference.averaged == average) return result;
  TORCH_CHECK(
      pairs.labels.is_cpu(), "sp2dpo::Loss: the reference's log-probabilities are ",
      reference.averaged ? "means" : "sums", " where ", average ? "means" : "sums",
      " over tokens are wanted; with labels on a device, the number of tokens is not known here");
  const at::Tensor factor = at::empty(result.sizes(), at::kDouble);
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    for (std::int64_t i = 0; i < pairs.pairs(); ++i) {
      const auto rows = static_cast<double>(std::max<std::int64_t>(pairs.rows.count(i, side), 1));
      row_of(factor, side)[i] = average ? 1 / rows : rows;
    }
  return result * factor.to(device);
}

}  // namespace

at::Tensor reference_answers(const Reference& reference, const at::Tensor& policy,
                             const LabelledPairs& pairs, bool average,
                             const std::optional<std::int64_t>& vocab_size,
                             const std::optional<std::int64_t>& workspace_bytes) {
  if (const auto* given = std::get_if<LogProbs>(&reference))
    return given_answers(*given, policy.device(), pairs, average);
  if (const auto* logits = std::get_if<ReferenceLogits>(&reference))
    return logits_answers(*logits, policy, pairs, average, vocab_size);
  if (const auto* hidden = std::get_if<ReferenceHidden>(&reference))
    return hidden_answers(*hidden, policy, pairs, average, vocab_size, workspace_bytes);
  return {};
}

}  // namespace sp2dpo
