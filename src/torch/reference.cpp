// SPDX-License-Identifier: Apache-2.0
#include "reference.hpp"

#include <algorithm>

#include "hidden_head.hpp"
#include "pairs.hpp"
#include "upload.hpp"
#include <ATen/ATen.h>

namespace sp2dpo {
namespace {

using at::Tensor;

/// Returns the given ones, with sums converted to means, or means to sums, if the loss needs that.
Tensor given_log_probs(const LogProbs& reference, const at::Device& device,
                       const LabelledPairs& pairs, bool average) {
  const Tensor shape = at::empty({pairs.pairs()}, at::TensorOptions(device).dtype(at::kDouble));
  check_log_probs("reference.chosen", reference.chosen, shape);
  check_log_probs("reference.rejected", reference.rejected, shape);
  const Tensor result = at::stack(
      {reference.chosen.detach().to(at::kDouble), reference.rejected.detach().to(at::kDouble)});
  if (reference.averaged == average) return result;
  TORCH_CHECK(pairs.labels.is_cpu(), "sp2dpo::Loss: the reference's log-probabilities are ",
              reference.averaged ? "means" : "sums", " over tokens, and the loss needs ",
              average ? "means" : "sums",
              "; with labels on a device, the host cannot know the number of tokens");
  const Tensor factor = at::empty(result.sizes(), at::kDouble);
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    for (std::int64_t i = 0; i < pairs.pairs(); ++i) {
      const auto rows = static_cast<double>(std::max<std::int64_t>(pairs.rows.count(i, side), 1));
      row_of(factor, side)[i] = average ? 1 / rows : rows;
    }
  return result * uploaded(factor, device);
}

/// Throws c10::Error if the reference knows other tokens than the policy, up to padding.
void check_vocabulary(const char* name, const Tensor& reference, std::int64_t columns,
                      const ReferenceOptions& options) {
  TORCH_CHECK(columns == options.columns || options.vocab_size, "sp2dpo::Loss: ", name, " ",
              reference.sizes(), " has a vocabulary of ", columns, ", and the policy one of ",
              options.columns,
              "; expected the same, or vocab_size if the columns beyond it are padding");
}

Tensor log_probs_of_logits(const Backend& backend, const Tensor& logits, const Tensor& policy,
                           const LabelledPairs& pairs, const ReferenceOptions& options) {
  const LogitRows rows = logit_rows("reference.logits", logits, options.vocab_size);
  TORCH_CHECK(row_shape(logits) == row_shape(policy), "sp2dpo::Loss: reference.logits ",
              logits.sizes(), " must have the rows of the policy's ", policy.sizes());
  check_vocabulary("reference.logits", logits, logits.size(-1), options);
  TORCH_CHECK(pairs.labels.device() == policy.device(),
              "sp2dpo::Loss: with reference.logits, labels must be on ", policy.device(),
              " as they are, not on ", pairs.labels.device());
  TORCH_CHECK(logits.device() == policy.device(), "sp2dpo::Loss: reference.logits must be on ",
              policy.device(), " as the policy's are, not on ", logits.device());
  return backend.logits_log_probs(rows, pairs, options.average);
}

Tensor log_probs_of_hidden(const Backend& backend, const ReferenceHidden& reference,
                           const Tensor& policy, const LabelledPairs& pairs,
                           const ReferenceOptions& options) {
  HiddenHead model("reference.hidden", reference.hidden, reference.head_weight, reference.head_bias,
                   options.vocab_size, options.precise);
  check_reference_rows(reference.hidden, policy);
  check_vocabulary("reference.head_weight", reference.head_weight, reference.head_weight.size(0),
                   options);
  check_workspace_bytes(options.workspace_bytes);
  const HiddenRows rows = model.rows(pairs);
  return backend.hidden_log_probs(
      rows, pairs, options.average,
      backend.chunk_rows(rows, options.workspace_bytes, /*with_reference=*/false));
}

}  // namespace

Tensor reference_log_probs(const Backend& backend, const Reference& reference, const Tensor& policy,
                           const LabelledPairs& pairs, const ReferenceOptions& options) {
  if (const auto* given = std::get_if<LogProbs>(&reference))
    return given_log_probs(*given, policy.device(), pairs, options.average);
  if (const auto* given = std::get_if<ReferenceLogits>(&reference))
    return log_probs_of_logits(backend, given->logits, policy, pairs, options);
  if (const auto* given = std::get_if<ReferenceHidden>(&reference))
    return log_probs_of_hidden(backend, *given, policy, pairs, options);
  return {};
}

}  // namespace sp2dpo
