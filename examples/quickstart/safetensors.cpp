// SPDX-License-Identifier: Apache-2.0
#include "safetensors.hpp"

#include <bit>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace quickstart {

static_assert(std::endian::native == std::endian::little);

std::string safetensors(std::span<const NamedTensor> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string header = R"({"__metadata__":{)";
  const char* comma = "";
  for (const auto& [key, value] : metadata) {
    header += fmt::format(R"({}"{}":"{}")", comma, key, value);
    comma = ",";
  }
  header += "}";
  std::size_t end = 0;
  for (const auto& tensor : tensors) {
    const std::size_t begin = end;
    end += tensor.values.size() * sizeof(float);
    header += fmt::format(R"(,"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                          tensor.name, fmt::join(tensor.shape, ","), begin, end);
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');  // the format requires aligned values

  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  file += header;
  for (const auto& tensor : tensors)
    file.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
  return file;
}

}  // namespace quickstart
