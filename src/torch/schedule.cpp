// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include <sp2dpo/torch/schedule.hpp>

namespace sp2dpo {
namespace {

at::Tensor to_tensor(const std::vector<double>& numbers) {
  const at::Tensor tensor = at::empty({static_cast<std::int64_t>(numbers.size())}, at::kDouble);
  std::ranges::copy(numbers, tensor.data_ptr<double>());
  return tensor;
}

}  // namespace

at::Tensor beta_tensor(const Schedule& schedule, std::span<const std::string> ids) {
  return to_tensor(schedule.betas(ids));
}

at::Tensor weight_tensor(const Schedule& schedule, std::span<const std::string> ids) {
  return to_tensor(schedule.weights(ids));
}

}  // namespace sp2dpo
