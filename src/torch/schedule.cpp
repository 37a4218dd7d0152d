// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include <sp2dpo/torch/schedule.hpp>

namespace sp2dpo {

at::Tensor beta_tensor(const Schedule& schedule, std::span<const std::string> ids) {
  const std::vector<double> betas = schedule.betas(ids);
  const at::Tensor tensor = at::empty({static_cast<std::int64_t>(betas.size())}, at::kFloat);
  std::ranges::transform(betas, tensor.data_ptr<float>(),
                         [](double beta) { return static_cast<float>(beta); });
  return tensor;
}

}  // namespace sp2dpo
