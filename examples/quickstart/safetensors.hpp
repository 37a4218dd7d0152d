// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace quickstart {

/// A float32 tensor to be written to a file.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;  ///< row-major
};

/// Returns the bytes of a safetensors file: the header's length (uint64), the JSON header, then the
/// values, all little endian. Names and metadata must not need JSON escapes.
[[nodiscard]] std::string safetensors(std::span<const NamedTensor> tensors,
                                      const std::map<std::string, std::string>& metadata);

}  // namespace quickstart
