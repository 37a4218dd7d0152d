// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/torch/schedule.hpp>

namespace sp2dpo {
namespace {

at::Tensor to_tensor(const char* call, const std::vector<double>& numbers, at::ScalarType dtype) {
  detail::require(dtype == at::kDouble || dtype == at::kFloat,
                  "{}: dtype is {}; expected float64 or float32, which are the types that a loss "
                  "takes",
                  call, c10::toString(dtype));
  const at::Tensor tensor = at::empty({static_cast<std::int64_t>(numbers.size())}, at::kDouble);
  std::ranges::copy(numbers, tensor.data_ptr<double>());
  return tensor.to(dtype);
}

}  // namespace

at::Tensor beta_tensor(const Schedule& schedule, std::span<const std::string> ids,
                       at::ScalarType dtype) {
  return to_tensor("beta_tensor", schedule.betas(ids), dtype);
}

at::Tensor weight_tensor(const Schedule& schedule, std::span<const std::string> ids,
                         at::ScalarType dtype) {
  return to_tensor("weight_tensor", schedule.weights(ids), dtype);
}

}  // namespace sp2dpo
