// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <map>

#include "upload.hpp"
#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace sp2dpo {
namespace {

using at::Tensor;

/// Filled by static constructors, and constant from then on.
std::map<c10::DeviceType, RegisterBackend::Make>& backends() {
  static std::map<c10::DeviceType, RegisterBackend::Make> table;
  return table;
}

std::shared_ptr<const Backend> find_backend(const at::Device& device) {
  const auto found = backends().find(device.type());
  return found == backends().end() ? nullptr : found->second(device);
}

}  // namespace

RegisterBackend::RegisterBackend(c10::DeviceType type, Make make) {
  backends()[type] = make;
}

std::shared_ptr<const Backend> backend_of(const char* name, const Tensor& tensor) {
  TORCH_CHECK(tensor.defined(), "sp2dpo::Loss: ", name, " is undefined");
  const at::Device device = tensor.device();
  std::shared_ptr<const Backend> backend = find_backend(device);
  TORCH_CHECK(backend != nullptr, "sp2dpo::Loss: ", name, " is on ", device,
              ", but this build of sp2dpo::torch has no kernels for that device",
              device.is_cuda() ? "; build it with nvcc and a libtorch with CUDA" : "");
  return backend;
}

Tensor uploaded(const Tensor& tensor, const at::Device& device) {
  if (!tensor.is_cpu() || device.is_cpu()) return tensor.to(device);
  const std::shared_ptr<const Backend> backend = find_backend(device);
  return backend != nullptr ? backend->upload(tensor) : tensor.to(device);
}

void Backend::pair_curvature(const AnyObjective&, const PairInputs&, const PairDirection&,
                             const PairOutputs&, std::int64_t) const {
  TORCH_CHECK(false, "sp2dpo::Loss: second derivatives are available on the CPU only");
}

PairVariables Backend::scaled_gradients(const Tensor& columns, const Tensor& upstream,
                                        const PairVariables& variables,
                                        const PairNeeds& needs) const {
  return sp2dpo::scaled_gradients(columns, upstream, variables, needs);
}

}  // namespace sp2dpo
