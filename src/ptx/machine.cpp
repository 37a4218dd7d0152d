// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

#include "warp.hpp"
#include <cxxabi.h>
#include <fmt/format.h>

namespace sp2dpo::ptx {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

enum class Waits : std::uint8_t { no, warp, barrier, cluster, exited };

struct Thread {
  u64* slots = nullptr;
  std::size_t at = 0;
  u32 index = 0;  ///< of the thread in the cluster
  u32 rank = 0;   ///< of its block in the cluster
  Waits waits = Waits::no;
  Progress progress;
  std::vector<std::size_t> calls;  ///< positions of the calls that have not returned
};

std::string demangled(const std::string& name) {
  char* const text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr);
  std::string result = text == nullptr ? name : text;
  std::free(text);
  return result.substr(0, result.rfind('('));
}

/// The special registers of a thread.
struct Whereabouts {
  const Launch& launch;
  u32 block, thread, rank;  ///< in the grid, the block, the cluster

  [[nodiscard]] u64 operator[](std::string_view special) const;
};

u64 Whereabouts::operator[](std::string_view special) const {
  if (special == "%laneid") return thread % warp_size;
  if (special == "%warpid") return thread / warp_size;
  if (special == "%cluster_ctarank") return rank;
  if (special == "%cluster_nctarank") return product(launch.cluster);
  if (special == "%shared_window")
    return (shared_window << window_shift) + ((u64{rank} + 1) << rank_shift);
  const std::size_t axis = std::string_view("xyz").find(special.back());
  const auto of = special.substr(0, special.size() - 2);
  if (axis > 2 || special[of.size()] != '.') return ~u64{0};
  if (of == "%tid") return coordinates(thread, launch.block)[axis];
  if (of == "%ntid") return launch.block[axis];
  if (of == "%ctaid") return coordinates(block, launch.grid)[axis];
  if (of == "%nctaid") return launch.grid[axis];
  if (of == "%cluster_nctaid") return launch.cluster[axis];
  return ~u64{0};
}

/// Runs the blocks of one cluster from their first instruction to their last. Without clusters, a
/// cluster is one block. The object is reused for the next cluster.
class Cluster {
 public:
  Cluster(const Launch& launch, const Schedule& schedule, GlobalMemory& memory, Findings& findings);

  void run(u32 number);

 private:
  void begin(u32 number);
  void run(Thread& thread);
  void call(Thread& thread, const Instruction& in);
  void leave(Thread& thread);
  void forget_local(Region& local, std::size_t offset, std::size_t bytes);
  void wait(Thread& thread, Waits why);
  void release(Thread& thread);
  void say_deadlock();

  void load(Thread& thread, const Instruction& in);
  void store(Thread& thread, const Instruction& in);
  void atomic(Thread& thread, const Instruction& in);
  std::byte* memory_at(Thread& thread, const Instruction& in, u64 address, Access access);
  Region* region_of(Thread& thread, const Instruction& in, u64& address);

  void arrive_at_warp(Thread& thread);
  void run_warp(const Instruction& in, u32 first, u32 mask);
  void leave_barrier(u32 rank);
  void leave_cluster_barrier();
  void leave_block(Thread& last);

  void say(const Thread& thread, const Instruction& in, std::string_view what);
  [[nodiscard]] std::string place(const Instruction& in) const;
  [[nodiscard]] std::string without_end() const;
  [[nodiscard]] std::span<Thread> block(u32 rank) {
    return std::span(threads_).subspan(rank * threads_per_block_, threads_per_block_);
  }

  struct Block {
    u32 at_barrier = 0, left = 0;
  };

  const Launch& launch_;
  const Kernel& kernel_;
  const Schedule& schedule_;
  GlobalMemory& memory_;
  Findings& findings_;
  const u32 threads_per_block_, blocks_;
  const u32 first_thread_;  ///< of the launch
  const Races races_;
  u32 first_block_ = 0;
  std::vector<u64> slots_;
  std::vector<Thread> threads_;
  std::vector<Block> state_;
  std::vector<std::unique_ptr<Region>> shared_, local_;
  std::optional<Runnable> runnable_;
  u32 at_cluster_barrier_ = 0, left_ = 0;
  u64 instructions_ = 0;
};

u32 next_thread_number = 1;

Cluster::Cluster(const Launch& launch, const Schedule& schedule, GlobalMemory& memory,
                 Findings& findings)
    : launch_(launch),
      kernel_(launch.kernel),
      schedule_(schedule),
      memory_(memory),
      findings_(findings),
      threads_per_block_(product(launch.block)),
      blocks_(product(launch.cluster)),
      first_thread_(next_thread_number),
      races_(first_thread_, launch.grid, launch.block, blocks_),
      slots_(std::size_t{threads_per_block_} * blocks_ * kernel_.slots.size()),
      threads_(std::size_t{threads_per_block_} * blocks_) {
  const u32 threads = product(launch.grid) * threads_per_block_;
  if (next_thread_number > ~u32{0} - threads)
    throw std::runtime_error("PTX: thread numbers are exhausted");
  next_thread_number += threads;
}

void Cluster::begin(u32 number) {
  const u32 threads = threads_per_block_ * blocks_;
  first_block_ = number * blocks_;
  state_.assign(blocks_, {});
  runnable_.emplace(threads, schedule_, number);
  at_cluster_barrier_ = left_ = 0;
  const u32 shared_bytes = kernel_.shared_bytes + launch_.dynamic_shared_bytes;
  shared_.clear();
  for (u32 rank = 0; rank < blocks_; ++rank)
    shared_.push_back(std::make_unique<Region>(
        fmt::format("{} bytes of shared memory of block {}", shared_bytes, first_block_ + rank),
        shared_bytes));
  local_.clear();
  for (u32 i = 0; i < threads; ++i) {
    Thread& thread = threads_[i];
    thread = {};
    thread.index = i;
    thread.rank = i / threads_per_block_;
    thread.slots = slots_.data() + std::size_t{i} * kernel_.slots.size();
    std::copy(kernel_.slots.begin(), kernel_.slots.end(), thread.slots);
    // Clusters extend along x only.
    const Whereabouts here{launch_, first_block_ + thread.rank, i % threads_per_block_,
                           thread.rank};
    for (const auto& [special, slot] : kernel_.special) {
      thread.slots[slot] = here[special];
      if (thread.slots[slot] == ~u64{0})
        throw std::runtime_error("PTX: unknown special register: " + special);
    }
    thread.progress.now.thread = first_thread_ + first_block_ * threads_per_block_ + i;
    if (kernel_.local_bytes > 0) {
      local_.push_back(std::make_unique<Region>(
          fmt::format("the thread's {} bytes of local memory", kernel_.local_bytes),
          kernel_.local_bytes));
      forget_local(*local_.back(), 0, kernel_.local_bytes);
    }
    runnable_->insert(i);
  }
}

void Cluster::run(u32 number) {
  begin(number);
  while (left_ < threads_.size() && !findings_.are_too_many()) {
    const auto next = runnable_->next();
    if (!next) return say_deadlock();
    run(threads_[*next]);
  }
}

void Cluster::run(Thread& thread) {
  u64* const slots = thread.slots;
  while (thread.waits == Waits::no) {
    const Instruction& in = kernel_.code[thread.at];
    if (++instructions_ > launch_.max_instructions) throw std::runtime_error(without_end());
    if (in.predicate != no_slot && ((slots[in.predicate] & 1) != 0) == in.negated) {
      ++thread.at;
      continue;
    }
    switch (in.kind) {
      case Kind::compute:
        in.operation(in, slots);
        break;
      case Kind::branch:
        thread.at = in.jump;
        continue;
      case Kind::load:
        load(thread, in);
        break;
      case Kind::store:
        store(thread, in);
        break;
      case Kind::atomic:
        atomic(thread, in);
        break;
      case Kind::warp:
        wait(thread, Waits::warp);
        arrive_at_warp(thread);
        continue;
      case Kind::barrier:
        wait(thread, Waits::barrier);
        ++state_[thread.rank].at_barrier;
        leave_barrier(thread.rank);
        continue;
      case Kind::cluster_arrive:
        ++thread.progress.now.cluster;
        break;
      case Kind::cluster_wait:
        if (thread.progress.now.cluster != thread.progress.cluster_barriers + 1)
          say(thread, in, "waits at the cluster's barrier without having arrived at it");
        wait(thread, Waits::cluster);
        ++at_cluster_barrier_;
        leave_cluster_barrier();
        continue;
      case Kind::call:
        call(thread, in);
        continue;
      case Kind::leave:
        leave(thread);
        continue;
      case Kind::trap:
        say(thread, in, "runs into a trap");
        [[fallthrough]];
      case Kind::exit:
        wait(thread, Waits::exited);
        ++left_;
        if (++state_[thread.rank].left == threads_per_block_) leave_block(thread);
        leave_barrier(thread.rank);
        leave_cluster_barrier();
        continue;
      case Kind::nothing:
        break;
    }
    ++thread.at;
    if (findings_.are_too_many()) return;
  }
}

/// Unoptimised code reads local memory before it writes it: it copies structs with their padding,
/// and sets single bits of a word. Such reads are not reported; 0xdb makes their values
/// conspicuous.
void Cluster::forget_local(Region& local, std::size_t offset, std::size_t bytes) {
  local.forget(offset, bytes);
  if (!kernel_.is_debug) return;
  std::memset(local.data() + offset, 0xdb, bytes);
  local.set_initialised(offset, bytes);
}

void copy_slots(const std::vector<Copy>& copies, u64* slots) {
  for (const Copy& copy : copies) std::copy_n(slots + copy.from, copy.count, slots + copy.to);
}

void Cluster::call(Thread& thread, const Instruction& in) {
  const Call& callee = kernel_.calls[in.jump];
  for (const std::size_t at : thread.calls)
    if (kernel_.calls[kernel_.code[at].jump].entry == callee.entry)
      throw std::runtime_error(
          fmt::format("PTX: {} calls {} recursively, which is not supported: "
                      "`{}`, {}",
                      demangled(kernel_.name), demangled(callee.function), in.text, place(in)));
  copy_slots(callee.arguments, thread.slots);
  if (callee.local_bytes > 0)
    forget_local(*local_[thread.index], callee.local_offset, callee.local_bytes);
  thread.calls.push_back(thread.at);
  thread.at = callee.entry;
}

void Cluster::leave(Thread& thread) {
  thread.at = thread.calls.back();
  thread.calls.pop_back();
  copy_slots(kernel_.calls[kernel_.code[thread.at].jump].results, thread.slots);
  ++thread.at;
}

void Cluster::wait(Thread& thread, Waits why) {
  thread.waits = why;
  runnable_->erase(thread.index);
}

void Cluster::release(Thread& thread) {
  thread.waits = Waits::no;
  ++thread.at;
  runnable_->insert(thread.index);
}

void Cluster::load(Thread& thread, const Instruction& in) {
  const std::byte* const from =
      memory_at(thread, in, thread.slots[in.source[0]] + in.offset, Access::read);
  if (from == nullptr) return;
  for (int i = 0; i < in.count; ++i) {
    if (in.target[i] == no_slot) continue;
    u64 value = 0;
    std::memcpy(&value, from + i * in.bytes, in.bytes);
    const int unused = 64 - 8 * in.bytes;
    if (in.is_signed)
      value = static_cast<u64>(static_cast<std::int64_t>(value << unused) >> unused);
    thread.slots[in.target[i]] = value;
  }
}

void Cluster::store(Thread& thread, const Instruction& in) {
  std::byte* const to =
      memory_at(thread, in, thread.slots[in.source[0]] + in.offset, Access::write);
  if (to == nullptr) return;
  for (int i = 0; i < in.count; ++i)
    std::memcpy(to + i * in.bytes, &thread.slots[in.target[i]], in.bytes);
}

void Cluster::atomic(Thread& thread, const Instruction& in) {
  std::byte* const at =
      memory_at(thread, in, thread.slots[in.source[4]] + in.offset, Access::atomic);
  if (at == nullptr) return;
  u64 old = 0;
  std::memcpy(&old, at, in.bytes);
  thread.slots[in.source[0]] = old;
  in.operation(in, thread.slots);
  std::memcpy(at, &thread.slots[in.target[0]], in.bytes);
  if (in.target[1] != no_slot) thread.slots[in.target[1]] = old;
}

/// Finds the region that an address points into, and replaces the address by the offset in it.
Region* Cluster::region_of(Thread& thread, const Instruction& in, u64& address) {
  Space space = in.space;
  if (space == Space::generic) {
    const u64 window = address >> window_shift;
    if (window == shared_window) space = Space::shared;
    if (window == local_window) space = Space::local;
    if (window == shared_window || window == local_window) address &= (u64{1} << window_shift) - 1;
  }
  if (space == Space::local) return local_.empty() ? nullptr : local_[thread.index].get();
  if (space == Space::shared) {
    const u64 rank = (address >> rank_shift) == 0 ? thread.rank : (address >> rank_shift) - 1;
    address &= (u64{1} << rank_shift) - 1;
    if (rank >= blocks_) return nullptr;
    if (state_[rank].left == threads_per_block_)
      say(thread, in, "touches shared memory of a block that has ended");
    return shared_[rank].get();
  }
  const auto place = memory_.find(address);
  address = place.offset;
  return place.region;
}

/// Checks an access and returns the memory, or null if no memory lies there.
std::byte* Cluster::memory_at(Thread& thread, const Instruction& in, u64 address, Access access) {
  const std::size_t bytes = std::size_t{in.bytes} * in.count;
  if (in.space == Space::slots) return reinterpret_cast<std::byte*>(thread.slots) + address;
  if (in.space == Space::parameter || (address >> window_shift) == parameter_window) {
    const u64 offset = address & ((u64{1} << window_shift) - 1);
    if (offset + bytes <= launch_.parameters.size() && access == Access::read)
      return const_cast<std::byte*>(launch_.parameters.data() + offset);
    say(thread, in,
        fmt::format("bytes {} to {} are outside the parameters", offset, offset + bytes));
    return nullptr;
  }
  u64 offset = address;
  Region* const region = region_of(thread, in, offset);
  if (region == nullptr) {
    say(thread, in,
        fmt::format("{:#x} is not an address of device memory{}", address,
                    memory_.was_freed(address) ? ": it was freed" : ""));
    return nullptr;
  }
  const auto say_of_memory = [&](std::string_view what) {
    say(thread, in,
        fmt::format("{}, at {:#x}, byte {} of {}", what, address, static_cast<std::int64_t>(offset),
                    region->name()));
  };
  if (offset % bytes != 0)
    say_of_memory(fmt::format("the address is not aligned to {} bytes", bytes));
  if (offset > region->bytes() || bytes > region->bytes() - offset) {
    const auto first = static_cast<std::int64_t>(offset);
    say(thread, in,
        fmt::format("bytes {} to {}, at {:#x}, are out of bounds of {}", first,
                    first + static_cast<std::int64_t>(bytes), address, region->name()));
    return nullptr;
  }
  for (Cell& cell : region->touch(offset, bytes))
    if (const auto wrong = races_.touch(cell, thread.progress, access); !wrong.empty())
      say_of_memory(wrong);
  return region->data() + offset;
}

/// Runs the instruction once every lane of its mask has arrived.
void Cluster::arrive_at_warp(Thread& thread) {
  const u32 lane = thread.index % threads_per_block_ % warp_size;
  const u32 first = thread.index - lane;
  const u32 lanes = std::min(warp_size, threads_per_block_ - first % threads_per_block_);
  const Instruction& in = kernel_.code[thread.at];
  const auto mask = static_cast<u32>(thread.slots[in.source[3]]);
  const u32 all = lanes == warp_size ? ~0u : (1u << lanes) - 1;
  if ((mask >> lane & 1) == 0) {
    say(thread, in, fmt::format("lane {} is not in its own mask {:#x}", lane, mask));
    return release(thread);
  }
  u32 here = 0;
  for (u32 i = 0; i < lanes; ++i) {
    const Thread& other = threads_[first + i];
    if (other.waits == Waits::warp && other.at == thread.at &&
        static_cast<u32>(other.slots[in.source[3]]) == mask)
      here |= 1u << i;
  }
  // A mask may name lanes that a partial warp lacks, as nvcc's full masks do.
  if ((mask & all & ~here) == 0) run_warp(in, first, mask & all);
}

void Cluster::run_warp(const Instruction& in, u32 first, u32 mask) {
  Lanes lanes{.mask = mask};
  const auto for_each_lane = [&](const auto& f) {
    for (u32 i = 0; i < warp_size; ++i)
      if (mask >> i & 1) f(threads_[first + i], i);
  };
  for_each_lane([&](Thread& thread, u32 lane) { lanes.slots[lane] = thread.slots; });
  const u32 wrong = exchange(in, lanes);
  for_each_lane([&](Thread& thread, u32 lane) {
    if (wrong >> lane & 1)
      say(thread, in, fmt::format("takes from a lane that is not in the mask {:#x}", mask));
    if (in.exchange == Exchange::barrier) ++thread.progress.now.warp;
    release(thread);
  });
}

/// Releases the block if each of its threads waits or has exited.
void Cluster::leave_barrier(u32 rank) {
  Block& state = state_[rank];
  if (state.at_barrier == 0 || state.at_barrier + state.left < threads_per_block_) return;
  const Thread* one = nullptr;
  for (const Thread& thread : block(rank)) {
    if (thread.waits != Waits::barrier) continue;
    if (one == nullptr) one = &thread;
    if (thread.at != one->at)
      say(thread, kernel_.code[thread.at],
          fmt::format("waits at a different barrier than {}, which waits at {}",
                      races_.name(one->progress.now.thread), place(kernel_.code[one->at])));
  }
  if (state.left > 0)
    say(*one, kernel_.code[one->at],
        fmt::format("waits at a barrier, but {} threads of the block have exited", state.left));
  state.at_barrier = 0;
  for (Thread& thread : block(rank)) {
    if (thread.waits != Waits::barrier) continue;
    ++thread.progress.now.block;
    release(thread);
  }
}

void Cluster::leave_cluster_barrier() {
  if (at_cluster_barrier_ == 0 || at_cluster_barrier_ + left_ < threads_.size()) return;
  at_cluster_barrier_ = 0;
  for (Thread& thread : threads_) {
    if (thread.waits != Waits::cluster) continue;
    ++thread.progress.cluster_barriers;
    release(thread);
  }
}

/// Treats the end of a block as a write to its shared memory: no other block may still read it.
void Cluster::leave_block(Thread& last) {
  if (blocks_ == 1) return;
  Region& shared = *shared_[last.rank];
  for (std::size_t i = 0; i < (shared.bytes() + 1) / 2; ++i)
    if (const auto wrong = races_.at_end_of_block(shared.cells()[i], last.progress); !wrong.empty())
      return say(last, kernel_.code[last.at], wrong);
}

void Cluster::say_deadlock() {
  for (const Thread& thread : threads_)
    if (thread.waits != Waits::exited)
      return say(thread, kernel_.code[thread.at], "deadlock: waits forever");
}

void Cluster::say(const Thread& thread, const Instruction& in, std::string_view what) {
  findings_.add(fmt::format("{}: {}: {}: `{}`, {}", demangled(kernel_.name),
                            races_.name(thread.progress.now.thread), what, in.text, place(in)));
}

/// "line 512 of the PTX for sm_90 (row.cu:37)"
std::string Cluster::place(const Instruction& in) const {
  const std::string& of_source = kernel_.places[in.where];
  return fmt::format("line {} of the PTX for sm_{}{}", in.line, kernel_.target,
                     of_source.empty() ? "" : " (" + of_source + ')');
}

std::string Cluster::without_end() const {
  return fmt::format(
      "PTX: a launch of {} exceeded {} instructions; set {} in the environment to change the "
      "limit",
      demangled(kernel_.name), launch_.max_instructions, limit_variable);
}

}  // namespace

void Findings::add(std::string text) {
  // One access can touch several cells.
  if (in_launch_ > 0 && !texts_.empty() && texts_.back() == text) return;
  if (++in_launch_ <= max_texts) texts_.push_back(std::move(text));
}

std::vector<std::string> Findings::take() {
  return std::exchange(texts_, {});
}

void run(const Launch& launch, const Schedule& schedule, GlobalMemory& memory, Findings& findings) {
  findings.begin_launch();
  Cluster cluster(launch, schedule, memory, findings);
  std::vector<u32> numbers(product(launch.grid) / product(launch.cluster));
  for (u32 i = 0; i < numbers.size(); ++i) numbers[i] = i;
  if (schedule.order == Order::descending) std::reverse(numbers.begin(), numbers.end());
  if (schedule.order == Order::random)
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937_64(schedule.seed));
  for (const u32 number : numbers) {
    if (findings.are_too_many()) return;
    cluster.run(number);
  }
}

}  // namespace sp2dpo::ptx
