// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

namespace sp2dpo::ptx {

cudaError_t Device::take_fault(const std::string& call) {
  const auto found = faults_.find(call);
  if (found == faults_.end()) return cudaSuccess;
  const cudaError_t error = found->second;
  faults_.erase(found);
  return error;
}

void Device::reset() {
  properties = {};
  schedule = {};
  is_capturing = false;
  approximation() = {};
  launches_.clear();
  faults_.clear();
  findings_.take();
  static_cast<void>(cudaGetLastError());
}

Device& device() {
  static Device the_only_one;
  return the_only_one;
}

}  // namespace sp2dpo::ptx
