// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernel.hpp"

/// The opcodes of control flow, memory and warps.
namespace sp2dpo::ptx {

/// Throws std::runtime_error for an unknown opcode.
[[noreturn]] void refuse_opcode(std::string_view opcode);

/// Branches, calls and barriers, and opcodes without effect here.
std::optional<Kind> find_control(std::string_view opcode);

/// Shuffles, votes, reductions, and the barrier of a warp.
std::optional<Exchange> find_exchange(std::string_view opcode);

/// The operation of an atomic opcode: `what` is "add.u32", or one that only atomics have,
/// "cas.b32".
Operation atomic_operation(const std::string& what);

/// The parts of `ld.global.nc.v4.b32`, `st.shared.f32` or `atom.relaxed.gpu.add.u32`.
struct MemoryOpcode {
  Space space = Space::generic;
  std::uint8_t bytes = 0, count = 1;
  bool is_signed = false;
  std::string operation;  ///< "add.u32", of an atomic opcode

  explicit MemoryOpcode(const std::string& opcode);
};

/// Every opcode that parse_kernel accepts, in the form of src/ptx/README.md: one line per family,
/// with what may follow its name.
std::string opcode_list();

}  // namespace sp2dpo::ptx
