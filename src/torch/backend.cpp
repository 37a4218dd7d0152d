// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <map>

#include <c10/util/Exception.h>

namespace sp2dpo {
namespace {

/// Filled by static constructors, and constant from then on.
std::map<c10::DeviceType, RegisterBackend::Make>& backends() {
  static std::map<c10::DeviceType, RegisterBackend::Make> table;
  return table;
}

}  // namespace

RegisterBackend::RegisterBackend(c10::DeviceType type, Make make) {
  backends()[type] = make;
}

std::shared_ptr<const Backend> backend_of(const char* name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.defined(), "sp2dpo::Loss: ", name, " is undefined");
  const at::Device device = tensor.device();
  const auto found = backends().find(device.type());
  TORCH_CHECK(found != backends().end(), "sp2dpo::Loss: ", name, " is on ", device,
              ", but this build of sp2dpo::torch has no kernels for that device",
              device.is_cuda() ? "; build it with nvcc and a libtorch with CUDA" : "");
  return found->second(device);
}

void Backend::pair_curvature(const AnyObjective&, const PairInputs&, const PairDirection&,
                             const PairOutputs&, std::int64_t) const {
  TORCH_CHECK(false, "sp2dpo::Loss: second derivatives are available on the CPU only");
}

PairVariables Backend::scaled_gradients(const at::Tensor& columns, const at::Tensor& upstream,
                                        const PairVariables& variables,
                                        const PairNeeds& needs) const {
  return sp2dpo::scaled_gradients(columns, upstream, variables, needs);
}

}  // namespace sp2dpo
