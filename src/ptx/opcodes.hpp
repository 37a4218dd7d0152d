// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernel.hpp"

/// The opcodes that parse_kernel takes.
namespace sp2dpo::ptx {

[[noreturn]] void refuse_opcode(std::string_view opcode);

/// Of branches, calls, barriers, and of what has no effect here.
std::optional<Kind> find_control(std::string_view opcode);

std::optional<Exchange> find_exchange(std::string_view opcode);

/// `what` is "add.u32", or an operation that only atomics have.
Operation atomic_operation(const std::string& what);

/// `ld.global.nc.v4.b32`, `st.shared.f32`, `atom.relaxed.gpu.add.u32`
struct MemoryOpcode {
  Space space = Space::generic;
  std::uint8_t bytes = 0, count = 1;
  bool is_signed = false;
  std::string operation;  ///< of an atomic

  explicit MemoryOpcode(const std::string& opcode);
};

/// Every opcode that parse_kernel takes, as src/ptx/README.md lists them: lines of a family and
/// what may follow its name.
std::string opcode_list();

}  // namespace sp2dpo::ptx
