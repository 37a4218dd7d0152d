// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace sp2dpo::ptx {
namespace {

/// Above zero; `usual` where the variable is not set.
std::uint64_t number_from_environment(const char* variable, std::uint64_t usual) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return usual;
  const char* const end = text + std::strlen(text);
  std::uint64_t number = 0;
  const auto [last, error] = std::from_chars(text, end, number);
  if (error != std::errc() || last != end || number == 0)
    throw std::runtime_error(fmt::format(
        "{} in the environment: expected a number above 0, got \"{}\"", variable, text));
  return number;
}

}  // namespace

Properties usual_properties() {
  const auto capability = number_from_environment("SP2DPO_PTX_DEVICE", 90);
  Properties properties;
  properties.major = static_cast<int>(capability / 10);
  properties.minor = static_cast<int>(capability % 10);
  switch (capability) {
    case 80:
      properties.multiprocessors = 108;
      properties.shared_per_block_optin = 163 << 10;
      properties.largest_cluster = 0;
      break;
    case 86:
    case 89:
      properties.multiprocessors = 84;
      properties.shared_per_block_optin = 99 << 10;
      properties.largest_cluster = 0;
      break;
    case 90:
      break;
    case 100:
      properties.multiprocessors = 148;
      break;
    case 120:
      properties.multiprocessors = 170;
      properties.shared_per_block_optin = 99 << 10;
      break;
    default:
      throw std::runtime_error(fmt::format(
          "SP2DPO_PTX_DEVICE in the environment: expected 80, 86, 89, 90, 100 or 120, got {}",
          capability));
  }
  return properties;
}

std::uint64_t usual_most_instructions() {
  return number_from_environment(limit_variable, std::uint64_t{1} << 32);
}

cudaError_t Device::take_fault(const std::string& call) {
  const auto found = faults_.find(call);
  if (found == faults_.end()) return cudaSuccess;
  const cudaError_t error = found->second;
  faults_.erase(found);
  return error;
}

void Device::reset() {
  properties = usual_properties();
  schedule = {};
  most_instructions = usual_most_instructions();
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
