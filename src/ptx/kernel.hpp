// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

/// Kernels in the form that the interpreter executes. An instruction works on slots of its thread:
/// registers, constants and special registers alike.
namespace sp2dpo::ptx {

using Slot = std::uint32_t;
inline constexpr Slot no_slot = ~Slot{0};

enum class Space : std::uint8_t {
  generic,
  global,
  shared,
  local,
  parameter,  ///< parameters of the launch
  slots       ///< parameters and results of a function; the address counts bytes of the slots
};

enum class Kind : std::uint8_t {
  compute,
  branch,
  load,
  store,
  atomic,
  warp,  ///< an exchange of the lanes in its mask
  barrier,
  cluster_arrive,
  cluster_wait,
  call,
  leave,  ///< return from a function
  exit,
  trap,
  nothing
};

/// An operation that the lanes of a warp carry out together.
enum class Exchange : std::uint8_t {
  barrier,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  shuffle_index,
  ballot,
  all,
  any,
  reduce
};

struct Instruction;
/// Reads and writes the slots of one thread.
using Operation = void (*)(const Instruction&, std::uint64_t* slots);

struct Instruction {
  Kind kind = Kind::nothing;
  Slot predicate = no_slot;
  bool negated = false;
  std::array<Slot, 8> target{no_slot, no_slot, no_slot, no_slot,
                             no_slot, no_slot, no_slot, no_slot};
  std::array<Slot, 5> source{};
  Operation operation = nullptr;
  std::size_t jump = 0;  ///< index into code; for a call, into Kernel::calls
  Exchange exchange = Exchange::barrier;
  // For a load, a store or an atomic operation; the address is source[0] + offset.
  Space space = Space::generic;
  std::uint8_t bytes = 0;  ///< of an element, or of a part of a packed word
  std::uint8_t count = 0;  ///< elements
  bool is_signed = false;
  std::int64_t offset = 0;
  std::string text;         ///< the statement in the PTX
  std::uint32_t line = 0;   ///< of the PTX, from 1
  std::uint32_t where = 0;  ///< index into Kernel::places
};

/// Slots to copy when a function is called or returns.
struct Copy {
  Slot from, to;
  std::uint32_t count;
};

/// A call of a function that was not inlined. Each thread has one set of slots and of local memory
/// per function, as if the function were part of the kernel, so recursion is impossible.
struct Call {
  std::string function;
  std::size_t entry = 0;  ///< index into Kernel::code
  std::vector<Copy> arguments, results;
  std::uint32_t local_offset = 0, local_bytes = 0;
};

struct Parameter {
  std::uint32_t offset, bytes;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  std::vector<std::uint64_t> slots;  ///< initial values
  std::map<std::string, Slot, std::less<>> special;
  std::vector<Call> calls;
  /// Lines of the source, as far as the PTX has them: "row.cuh:41, inlined at row.cu:12". The first
  /// is "".
  std::vector<std::string> places{std::string()};
  std::vector<Parameter> parameters;
  std::uint32_t parameter_bytes = 0, shared_bytes = 0, local_bytes = 0;
  std::uint32_t max_threads = 1024;  ///< per block, from .maxntid
  unsigned target = 0;               ///< 90 for sm_90
  bool is_debug = false;             ///< compiled with -G
};

/// A variable of a module in global or constant memory, with its initial value.
struct Global {
  std::string name;
  std::vector<std::byte> value;
};

/// The upper four bits of a generic address select its memory. Host pointers have other bits there.
inline constexpr int window_shift = 60;
inline constexpr std::uint64_t global_window = 1, shared_window = 2, local_window = 3,
                               parameter_window = 4;
/// A shared address holds one plus the block's rank in its cluster above the offset. Zero stands
/// for the thread's own block.
inline constexpr int rank_shift = 20;

}  // namespace sp2dpo::ptx
