// SPDX-License-Identifier: Apache-2.0
#include "modules.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "device.hpp"
#include "parser.hpp"

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

/// Extracts the PTX. Called at first use, since other libraries register large binaries.
std::vector<std::string> read_texts(const void* fatbinary) {
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

void Modules::add_variable(Handle module, const void* shadow, std::string name) {
  variables_[shadow] = {module, std::move(name)};
}

const std::vector<std::string>& Modules::texts_of(Module& module) {
  if (!module.texts) module.texts = read_texts(module.fatbinary);
  return *module.texts;
}

/// A variable has one address, whatever architecture the PTX is for.
std::uint64_t Modules::address_of(Handle module, const Global& global) {
  const auto [at, is_new] = globals_.try_emplace({module, global.name}, 0);
  if (is_new) at->second = device().memory().add_global(global.name, global.value);
  return at->second;
}

Kernel* Modules::find(const void* function, unsigned capability) {
  const auto key = std::pair(function, capability);
  if (const auto known = kernels_.find(key); known != kernels_.end()) return &known->second;
  const auto found = functions_.find(function);
  if (found == functions_.end()) return nullptr;
  const auto& [module, name] = found->second;
  auto kernel = parse_kernel(texts_of(*module), name, capability,
                             [&](const Global& global) { return address_of(module, global); });
  return kernel ? &kernels_.emplace(key, *std::move(kernel)).first->second : nullptr;
}

std::uint64_t Modules::find_variable(const void* shadow, unsigned capability) {
  const auto found = variables_.find(shadow);
  if (found == variables_.end()) return 0;
  const auto& [module, name] = found->second;
  const auto global = parse_global(texts_of(*module), name, capability);
  return global ? address_of(module, *global) : 0;
}

std::vector<const void*> Modules::functions() const {
  std::vector<const void*> all;
  for (const auto& [function, _] : functions_) all.push_back(function);
  return all;
}

Modules& modules() {
  static Modules all;
  return all;
}

}  // namespace sp2dpo::ptx
