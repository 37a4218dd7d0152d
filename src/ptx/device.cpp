// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include <fmt/format.h>

namespace sp2dpo::ptx {
namespace {

/// Reads a number above zero. Returns `usual` if the variable is not set.
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

struct Model {
  std::uint64_t capability;
  int multiprocessors;
  std::size_t shared_kib;  ///< the most that a block can opt in to
  std::uint32_t largest_cluster;
};
constexpr Model models[] = {{80, 108, 163, 0}, {86, 84, 99, 0},    {89, 84, 99, 0},
                            {90, 132, 227, 8}, {100, 148, 227, 8}, {120, 170, 99, 8}};

}  // namespace

Properties default_properties() {
  const auto capability = number_from_environment("SP2DPO_PTX_DEVICE", 90);
  const auto model = std::ranges::find(models, capability, &Model::capability);
  if (model == std::end(models))
    throw std::runtime_error(fmt::format(
        "SP2DPO_PTX_DEVICE in the environment: expected 80, 86, 89, 90, 100 or 120, got {}",
        capability));
  Properties properties;
  properties.major = static_cast<int>(capability / 10);
  properties.minor = static_cast<int>(capability % 10);
  properties.multiprocessors = model->multiprocessors;
  properties.shared_per_block_optin = model->shared_kib << 10;
  properties.largest_cluster = model->largest_cluster;
  return properties;
}

std::uint64_t default_max_instructions() {
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
  properties = default_properties();
  schedule = {};
  max_instructions = default_max_instructions();
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
