// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel.hpp"

namespace sp2dpo::ptx {

/// The operation of an arithmetic opcode such as "add.f32"; null if it is unknown.
Operation find_operation(std::string_view opcode);
/// All arithmetic opcodes, unsorted.
std::vector<std::string> operation_names();

}  // namespace sp2dpo::ptx
