// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Kernels as the interpreter executes them. Whatever an instruction works on is a slot of its
/// thread's: registers, constants and special registers alike.
namespace sp2dpo::ptx {

using Slot = std::uint32_t;
inline constexpr Slot no_slot = ~Slot{0};

enum class Space : std::uint8_t { generic, global, shared, local, parameter };

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
  std::array<Slot, 4> target{no_slot, no_slot, no_slot, no_slot};
  std::array<Slot, 5> source{};
  Operation operation = nullptr;
  std::size_t jump = 0;
  Exchange exchange = Exchange::barrier;
  // Of a load, a store, an atomic operation: the address is source[0] + offset.
  Space space = Space::generic;
  std::uint8_t bytes = 0;  ///< of an element; of a packed or unpacked word's part
  std::uint8_t count = 0;  ///< elements
  bool is_signed = false;
  std::int64_t offset = 0;
  std::string text;  ///< as it stands in the PTX
};

struct Parameter {
  std::uint32_t offset, bytes;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  std::vector<std::uint64_t> slots;  ///< what a thread begins with
  std::map<std::string, Slot, std::less<>> special;
  std::vector<Parameter> parameters;
  std::uint32_t parameter_bytes = 0, shared_bytes = 0, local_bytes = 0;
  std::uint32_t most_threads = 1024;  ///< what the kernel was compiled for
  unsigned target = 0;                ///< 90 for sm_90
};

/// The kernel `name` from the newest of several modules' PTX that a device of `capability` can run;
/// nothing where there is none. Throws std::runtime_error with the text of what is not understood.
std::optional<Kernel> parse_kernel(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability);

/// The operation of a computing opcode such as "add.f32"; null for an unknown one.
Operation find_operation(std::string_view opcode);

/// Where generic addresses lead, by their upper four bits. No host pointer has them.
inline constexpr int window_shift = 60;
inline constexpr std::uint64_t global_window = 1, shared_window = 2, local_window = 3,
                               parameter_window = 4;
/// An address of shared memory: the block's rank in its cluster, plus one, above the offset; zero
/// stands for the thread's own block.
inline constexpr int rank_shift = 20;

}  // namespace sp2dpo::ptx
