// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel.hpp"

namespace sp2dpo::ptx {

/// The operation of a computing opcode such as "add.f32"; null for an unknown one.
Operation find_operation(std::string_view opcode);
/// All opcodes that it knows, in no order.
std::vector<std::string> operation_names();

}  // namespace sp2dpo::ptx
