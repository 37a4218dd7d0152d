// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernel.hpp"

namespace sp2dpo::ptx {

/// Returns the address of a variable. Called once for each that a kernel names.
using GlobalAddress = std::function<std::uint64_t(const Global&)>;

/// Parses the kernel `name` from the newest module that a device of `capability` can run; nothing
/// if no module qualifies. Throws std::runtime_error with the line and the text of any statement
/// that is not supported, even one that would never be executed.
std::optional<Kernel> parse_kernel(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability, const GlobalAddress& address_of);

/// The variable `name` of the module that parse_kernel would use; nothing if it is missing.
std::optional<Global> parse_global(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability);

}  // namespace sp2dpo::ptx
