// SPDX-License-Identifier: Apache-2.0
#include "modules.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace sp2dpo::ptx {
namespace {

struct Wrapper {
  std::uint32_t magic, version;
  const char* data;
};

struct Header {
  std::uint32_t magic;
  std::uint16_t version, header_bytes;
  std::uint64_t bytes;
};

/// The PTX in it. Looked for where it is wanted first: what other libraries register is large.
std::vector<std::string> texts_of(const void* fatbinary) {
  Wrapper wrapper{};
  std::memcpy(&wrapper, fatbinary, sizeof wrapper);
  Header header{};
  std::memcpy(&header, wrapper.data, sizeof header);
  const std::string_view all(wrapper.data, header.header_bytes + header.bytes);
  std::vector<std::string> texts;
  for (std::size_t at = 0; (at = all.find(".version ", at)) != std::string_view::npos;) {
    const auto end = std::min(all.find('\0', at), all.size());
    texts.emplace_back(all.substr(at, end - at));
    at = end;
  }
  return texts;
}

}  // namespace

Modules::Handle Modules::add(const void* fatbinary) {
  return modules_.emplace_back(std::make_unique<Module>(Module{fatbinary, {}})).get();
}

void Modules::add_function(Handle module, const void* function, std::string kernel) {
  functions_[function] = {module, std::move(kernel)};
}

Kernel* Modules::find(const void* function, unsigned capability) {
  const auto key = std::pair(function, capability);
  if (const auto known = kernels_.find(key); known != kernels_.end()) return &known->second;
  const auto found = functions_.find(function);
  if (found == functions_.end()) return nullptr;
  Module& module = *found->second.module;
  if (!module.texts) module.texts = texts_of(module.fatbinary);
  auto kernel = parse_kernel(*module.texts, found->second.kernel, capability);
  return kernel ? &kernels_.emplace(key, *std::move(kernel)).first->second : nullptr;
}

Modules& modules() {
  static Modules all;
  return all;
}

}  // namespace sp2dpo::ptx
