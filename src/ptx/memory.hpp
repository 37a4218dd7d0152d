// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernel.hpp"

namespace sp2dpo::ptx {

/// When a thread touched memory: who it was, and how many barriers of each kind it had behind it.
struct Stamp {
  std::uint32_t thread = 0;  ///< numbered over all launches from 1; 0 is the host
  std::uint32_t warp = 0, block = 0, cluster = 0;
};

/// The smallest group that holds all threads meant.
enum class Scope : std::uint8_t { thread, warp, block, cluster, grid };

/// What is known of two bytes. All zero for memory that is fresh.
struct Cell {
  Stamp writer, reader;  ///< the last ones; of readers none after a write
  Scope readers = Scope::thread;
  bool is_initialised = false, was_atomic = false;
};

/// Memory with its cells. Both are zero pages until they are touched.
class Region {
 public:
  Region(std::string name, std::size_t bytes);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::byte* data() { return data_.get(); }
  /// (bytes + 1) / 2 of them.
  [[nodiscard]] const Cell* cells() const { return cells_.get(); }
  /// The cells of `count` bytes from `offset`, to be changed.
  std::span<Cell> touch(std::size_t offset, std::size_t count);
  /// What the host wrote.
  void set_initialised(std::size_t offset, std::size_t count);
  /// Makes memory fresh. Takes time for what was touched only.
  void forget(std::size_t offset, std::size_t count);

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::string name_;
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
  std::unique_ptr<Cell, Free> cells_;
  static constexpr std::size_t block_ = 4096;  ///< cells
  std::vector<bool> is_touched_;               ///< by block
};

/// The device's global memory. An allocation lies amid 64 GiB of addresses for itself, which no
/// other ever gets: whatever lies beside it or was freed is known by its address. No host pointer
/// lies among them, so that host code which reads device memory ends there.
class GlobalMemory {
 public:
  /// Null where less than `bytes` of `capacity` are left.
  void* allocate(std::size_t bytes, std::size_t capacity);
  bool free(void* address);
  /// A module's variable, which is there to the end and no allocation. Returns its address.
  std::uint64_t add_global(const std::string& name, std::span<const std::byte> value);
  /// The allocation that `address` points into or beside, and the offset there (before it, the bits
  /// of a negative number); null for none.
  struct Place {
    Region* region = nullptr;
    std::size_t offset = 0;
  };
  [[nodiscard]] Place find(std::uint64_t address);
  [[nodiscard]] bool was_freed(std::uint64_t address) const;
  /// As above where all of `bytes` lies within.
  [[nodiscard]] Place find(const void* address, std::size_t bytes);
  [[nodiscard]] std::size_t allocations() const { return regions_.size() - globals_; }
  [[nodiscard]] std::size_t bytes_in_use() const { return in_use_; }

 private:
  std::map<std::uint64_t, Region> regions_;  ///< by address >> region_shift
  static constexpr std::uint64_t first_ = global_window << (window_shift - 36);
  std::uint64_t next_ = first_;
  std::size_t in_use_ = 0, globals_ = 0;
  std::pair<std::uint64_t, Region*> last_{};
};

}  // namespace sp2dpo::ptx
