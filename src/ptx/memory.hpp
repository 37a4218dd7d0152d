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

/// An access: the thread, and how many barriers of each kind it had passed.
struct Stamp {
  std::uint32_t thread = 0;  ///< numbered over all launches from 1; 0 is the host
  std::uint32_t warp = 0, block = 0, cluster = 0;
};

/// A group of threads.
enum class Scope : std::uint8_t { thread, warp, block, cluster, grid };

/// The state of two bytes. Zero for fresh memory.
struct Cell {
  Stamp writer, reader;  ///< the last ones; a write clears the reader
  Scope readers = Scope::thread;
  bool is_initialised = false, was_atomic = false;
};

/// Memory and its cells, two bytes each. The pages of either are zero until they are touched.
class Region {
 public:
  Region(std::string name, std::size_t bytes);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::byte* data() { return data_.get(); }
  /// (bytes + 1) / 2 cells.
  [[nodiscard]] const Cell* cells() const { return cells_.get(); }
  /// The cells of `count` bytes from `offset`, for a change.
  std::span<Cell> touch(std::size_t offset, std::size_t count);
  /// Marks bytes as written by the host.
  void set_initialised(std::size_t offset, std::size_t count);
  /// Marks bytes as never written. Its cost depends on the bytes that were touched only.
  void forget(std::size_t offset, std::size_t count);

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::string name_;
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
  std::unique_ptr<Cell, Free> cells_;
  static constexpr std::size_t block_ = 4096;  ///< in cells
  std::vector<char> is_touched_;               ///< by block
};

/// The device's global memory. Each allocation lies in the middle of 64 GiB of addresses of its
/// own, which are never reused, so an address identifies an access beside an allocation or after a
/// free. They are not valid on the host: host code that reads device memory crashes.
class GlobalMemory {
 public:
  /// Returns null if fewer than `bytes` of `capacity` are left.
  void* allocate(std::size_t bytes, std::size_t capacity);
  bool free(void* address);
  /// Adds a variable of a module and returns its address. It is never freed.
  std::uint64_t add_global(const std::string& name, std::span<const std::byte> value);
  /// The allocation that `address` points into or beside, and the offset there: a negative number,
  /// wrapped, before its begin. Null if no allocation is near.
  struct Place {
    Region* region = nullptr;
    std::size_t offset = 0;
  };
  [[nodiscard]] Place find(std::uint64_t address);
  [[nodiscard]] bool was_freed(std::uint64_t address) const;
  /// Finds an allocation that contains all of `bytes`, or returns null.
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
