// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernel.hpp"

namespace sp2dpo::ptx {

/// Where it lies. Called for each that a kernel names.
using GlobalAddress = std::function<std::uint64_t(const Global&)>;

/// The kernel `name` from the newest of several modules' PTX that a device of `capability` can run;
/// nothing where there is none. Throws std::runtime_error with line and text of what is not
/// understood, whether it would be executed or not.
std::optional<Kernel> parse_kernel(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability, const GlobalAddress& address_of);

/// The variable `name` of the same PTX; nothing where there is none.
std::optional<Global> parse_global(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability);

}  // namespace sp2dpo::ptx
