// SPDX-License-Identifier: Apache-2.0
#include "controls.hpp"

#include <cmath>
#include <string>

#include <c10/util/Exception.h>

namespace sp2dpo {
namespace {

using at::Tensor;

/// The range of a control's values.
enum class Range { any, not_negative, positive };

bool is_in(Range range, double value) {
  return std::isfinite(value) &&
         (range == Range::any || value > 0 || (range == Range::not_negative && value == 0));
}

[[noreturn]] void refuse(const char* name, double value, Range range, const std::string& where) {
  const char* limit = range == Range::positive ? " and > 0"
                      : range == Range::any    ? ""
                                               : " and >= 0";
  TORCH_CHECK(false, "sp2dpo::Loss: ", name, " must be finite", limit, ", not ", value, where);
}

void check_control(const char* name, const PerPair& control, std::int64_t pairs,
                   const at::Device& device, Range range) {
  const Tensor& tensor = control.tensor;
  if (!tensor.defined()) {
    TORCH_CHECK(!control.from_tensor, "sp2dpo::Loss: ", name,
                " is an undefined tensor; expected float32 or float64 [", pairs,
                "] or a plain number");
    if (!is_in(range, control.number)) refuse(name, control.number, range, "");
    return;
  }
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble,
              "sp2dpo::Loss: ", name, " must be float32 or float64, not ", tensor.scalar_type(),
              is_floating(tensor) ? "; convert it by .to(at::kFloat)" : "");
  check_readable(name, tensor);
  TORCH_CHECK(tensor.dim() == 1 && tensor.size(0) == pairs, "sp2dpo::Loss: ", name,
              " must have the shape [", pairs, "] (one number per pair) or be a plain number, not ",
              tensor.sizes());
  TORCH_CHECK(tensor.device() == device, "sp2dpo::Loss: ", name, " must be on ", device,
              " as the policy is, not on ", tensor.device());
  if (!tensor.device().is_cpu()) return;
  const PairValues values = values_of(tensor);
  for (std::int64_t i = 0; i < pairs; ++i)
    if (!is_in(range, values[i]))
      refuse(name, values[i], range, " (pair " + std::to_string(i) + " of the batch)");
}

}  // namespace

void check_readable(const char* name, const Tensor& tensor) {
  TORCH_CHECK(tensor.layout() == at::kStrided, "sp2dpo::Loss: ", name,
              " must be a dense tensor, not ", tensor.layout(), "; make it to_dense()");
  TORCH_CHECK(!tensor.is_neg(), "sp2dpo::Loss: ", name,
              " is a lazy negative, whose memory holds the opposite numbers; call resolve_neg()");
  TORCH_CHECK(!tensor._is_zerotensor(), "sp2dpo::Loss: ", name,
              " is a zero without memory; pass a clone()");
}

void check_log_probs(const char* name, const Tensor& tensor, const Tensor& first) {
  TORCH_CHECK(tensor.defined(), "sp2dpo::Loss: ", name, " is undefined; expected a tensor [P]");
  TORCH_CHECK(is_floating(tensor), "sp2dpo::Loss: ", name,
              " must be float16, bfloat16, float32 or float64, not ", tensor.scalar_type());
  check_readable(name, tensor);
  TORCH_CHECK(tensor.dim() == 1, "sp2dpo::Loss: ", name,
              " must have the shape [P], one log-probability per pair, not ", tensor.sizes());
  TORCH_CHECK(tensor.numel() > 0, "sp2dpo::Loss: ", name, " is empty; expected at least one pair");
  TORCH_CHECK(tensor.sizes() == first.sizes(), "sp2dpo::Loss: ", name, " must have the shape ",
              first.sizes(), " as the policy has, not ", tensor.sizes());
  TORCH_CHECK(tensor.device() == first.device(), "sp2dpo::Loss: ", name, " must be on ",
              first.device(), " as the policy is, not on ", tensor.device());
}

void check_controls(const Controls& controls, std::int64_t pairs, const at::Device& device) {
  check_control("beta", controls.beta, pairs, device, Range::positive);
  check_control("margin", controls.margin, pairs, device, Range::any);
  check_control("weight", controls.weight, pairs, device, Range::not_negative);
  TORCH_CHECK(!controls.weight.tensor.defined() || !controls.weight.tensor.requires_grad(),
              "sp2dpo::Loss: weight is a constant but requires a gradient; detach() it");
}

}  // namespace sp2dpo
