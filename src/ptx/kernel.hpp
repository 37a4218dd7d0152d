// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

/// Kernels as the interpreter executes them. Whatever an instruction works on is a slot of its
/// thread's: registers, constants and special registers alike.
namespace sp2dpo::ptx {

using Slot = std::uint32_t;
inline constexpr Slot no_slot = ~Slot{0};

enum class Space : std::uint8_t {
  generic,
  global,
  shared,
  local,
  parameter,  ///< of the launch
  slots       ///< a function's parameters and results: the address counts the slots' bytes
};

enum class Kind : std::uint8_t {
  compute,
  branch,
  load,
  store,
  atomic,
  warp,  ///< waits for the lanes of its mask
  barrier,
  cluster_arrive,
  cluster_wait,
  call,
  leave,  ///< a function that was called
  exit,
  trap,
  nothing
};

/// What the lanes of a warp do together.
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
  std::size_t jump = 0;  ///< into the code; of a call, into the kernel's calls
  Exchange exchange = Exchange::barrier;
  // Of a load, a store, an atomic operation: the address is source[0] + offset.
  Space space = Space::generic;
  std::uint8_t bytes = 0;  ///< of an element; of a packed or unpacked word's part
  std::uint8_t count = 0;  ///< elements
  bool is_signed = false;
  std::int64_t offset = 0;
  std::string text;         ///< as it stands in the PTX
  std::uint32_t line = 0;   ///< of the PTX, from 1
  std::uint32_t where = 0;  ///< into the kernel's places
};

/// Slots that are copied to others when a function is called or left.
struct Copy {
  Slot from, to;
  std::uint32_t count;
};

/// A function that was not inlined has its slots and its local memory once in every thread, as if
/// it were part of the kernel: so none can be called again before it was left.
struct Call {
  std::string function;
  std::size_t entry = 0;  ///< into the code
  std::vector<Copy> arguments, results;
  std::uint32_t local_offset = 0, local_bytes = 0;
};

struct Parameter {
  std::uint32_t offset, bytes;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  std::vector<std::uint64_t> slots;  ///< what a thread begins with
  std::map<std::string, Slot, std::less<>> special;
  std::vector<Call> calls;
  /// Of the sources, where the PTX tells: "row.cuh:41, inlined at row.cu:12". First comes "".
  std::vector<std::string> places{std::string()};
  std::vector<Parameter> parameters;
  std::uint32_t parameter_bytes = 0, shared_bytes = 0, local_bytes = 0;
  std::uint32_t max_threads = 1024;  ///< what the kernel was compiled for
  unsigned target = 0;               ///< 90 for sm_90
  bool is_debug = false;             ///< compiled with -G
};

/// A variable of a module in global or constant memory, as it is before the first launch.
struct Global {
  std::string name;
  std::vector<std::byte> value;
};

/// Where generic addresses lead, by their upper four bits. No host pointer has them.
inline constexpr int window_shift = 60;
inline constexpr std::uint64_t global_window = 1, shared_window = 2, local_window = 3,
                               parameter_window = 4;
/// An address of shared memory: the block's rank in its cluster, plus one, above the offset; zero
/// stands for the thread's own block.
inline constexpr int rank_shift = 20;

}  // namespace sp2dpo::ptx
