// SPDX-License-Identifier: Apache-2.0
#include "races.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sp2dpo::ptx {

/// Returns the smallest group that contains both threads.
Scope Races::scope_of(const Stamp& before, const Progress& thread) const {
  const std::uint32_t a = before.thread - first_;
  const std::uint32_t b = thread.now.thread - first_;
  if (a == b) return Scope::thread;
  if (a / threads_ == b / threads_)
    return a % threads_ / warp_size == b % threads_ / warp_size ? Scope::warp : Scope::block;
  return a / threads_ / blocks_ == b / threads_ / blocks_ ? Scope::cluster : Scope::grid;
}

/// True if everything that the threads of `scope` around `before` had done up to then is ordered
/// before what the thread does now.
bool Races::in_order(const Stamp& before, Scope scope, const Progress& thread) const {
  if (before.thread < first_) return true;
  switch (std::max(scope, scope_of(before, thread))) {
    case Scope::thread:
      return true;
    case Scope::warp:
      if (thread.now.warp > before.warp) return true;
      [[fallthrough]];
    case Scope::block:
      if (thread.now.block > before.block) return true;
      [[fallthrough]];
    case Scope::cluster:
      return thread.cluster_barriers > before.cluster;
    case Scope::grid:
      break;
  }
  return false;
}

std::string Races::touch(Cell& cell, const Progress& thread, Access access) const {
  std::string wrong;
  if (access != Access::write && !cell.is_initialised) {
    wrong = "reads uninitialised memory";
    cell.is_initialised = true;
  }
  const bool both_atomic = cell.was_atomic && access == Access::atomic;
  if (!both_atomic && !in_order(cell.writer, Scope::thread, thread))
    wrong = "race with a write by " + name(cell.writer.thread);
  if (access == Access::read) {
    // Of unordered readers, the cell keeps the last one and the scope of all.
    cell.readers = in_order(cell.reader, cell.readers, thread)
                       ? Scope::thread
                       : std::max(cell.readers, scope_of(cell.reader, thread));
    cell.reader = thread.now;
    return wrong;
  }
  if (!in_order(cell.reader, cell.readers, thread))
    wrong = "race with a read by " + name(cell.reader.thread) +
            (cell.readers == Scope::thread ? "" : " and others");
  cell = {};
  cell.writer = thread.now;
  cell.is_initialised = true;
  cell.was_atomic = access == Access::atomic;
  return wrong;
}

std::string Races::at_end_of_block(const Cell& cell, const Progress& last) const {
  if (cell.reader.thread < first_) return {};
  const Scope users = std::max(cell.readers, scope_of(cell.reader, last));
  if (users < Scope::cluster || in_order(cell.reader, cell.readers, last)) return {};
  return "ends while its block's shared memory is being read by " + name(cell.reader.thread);
}

std::string Races::name(std::uint32_t thread) const {
  const auto place = [](std::uint32_t number, const Extent& extent) {
    if (extent[1] * extent[2] == 1) return fmt::format("{}", number);
    const auto [x, y, z] = coordinates(number, extent);
    return fmt::format("({}, {}, {})", x, y, z);
  };
  return fmt::format("block {} thread {}", place((thread - first_) / threads_, grid_),
                     place((thread - first_) % threads_, block_));
}

}  // namespace sp2dpo::ptx
