// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace quickstart {

/// A float32 tensor on its way to a file.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;  ///< row by row
};

/// The bytes of a safetensors file: the header's length (uint64), the JSON header, then the values,
/// all little endian. Names and metadata must be such that JSON needs no escapes for them.
[[nodiscard]] std::string safetensors(std::span<const NamedTensor> tensors,
                                      const std::map<std::string, std::string>& metadata);

}  // namespace quickstart
