// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace sp2dpo::ptx {
namespace {

constexpr int region_shift = 36;
/// Offset of an allocation in its range of addresses: those before it belong to it as well.
constexpr std::uint64_t region_begin = std::uint64_t{1} << (region_shift - 1);

template <class T>
T* zeros(std::size_t count) {
  auto* const memory = static_cast<T*>(std::calloc(count + 1, sizeof(T)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

Region::Region(std::string name, std::size_t bytes)
    : name_(std::move(name)),
      bytes_(bytes),
      data_(zeros<std::byte>(bytes)),
      cells_(zeros<Cell>((bytes + 1) / 2)),
      is_touched_((bytes + 1) / 2 / block_ + 1) {}

std::span<Cell> Region::touch(std::size_t offset, std::size_t count) {
  const std::size_t first = offset / 2, end = (offset + count + 1) / 2;
  for (std::size_t block = first / block_; block * block_ < end; ++block) is_touched_[block] = true;
  return {cells_.get() + first, end - first};
}

void Region::set_initialised(std::size_t offset, std::size_t count) {
  for (Cell& cell : touch(offset, count)) {
    cell = {};
    cell.is_initialised = true;
  }
}

void Region::forget(std::size_t offset, std::size_t count) {
  const std::size_t end = (offset + count + 1) / 2;
  for (std::size_t i = offset / 2; i < end;) {
    const std::size_t end_of_block = std::min(end, (i / block_ + 1) * block_);
    if (is_touched_[i / block_]) std::fill(cells_.get() + i, cells_.get() + end_of_block, Cell{});
    i = end_of_block;
  }
}

void* GlobalMemory::allocate(std::size_t bytes, std::size_t capacity) {
  if (bytes > capacity - std::min(capacity, in_use_)) return nullptr;
  const std::uint64_t number = ++next_;
  const std::uint64_t address = (number << region_shift) + region_begin;
  regions_.try_emplace(number, fmt::format("allocation of {} bytes at {:#x}", bytes, address),
                       bytes);
  in_use_ += bytes;
  return reinterpret_cast<void*>(address);
}

std::uint64_t GlobalMemory::add_global(const std::string& name, std::span<const std::byte> value) {
  const std::uint64_t number = ++next_;
  const std::uint64_t address = (number << region_shift) + region_begin;
  Region& region =
      regions_
          .try_emplace(number, fmt::format("{} ({} bytes at {:#x})", name, value.size(), address),
                       value.size())
          .first->second;
  std::copy(value.begin(), value.end(), region.data());
  region.set_initialised(0, value.size());
  ++globals_;
  return address;
}

bool GlobalMemory::free(void* address) {
  const auto bits = reinterpret_cast<std::uint64_t>(address);
  const auto found = regions_.find(bits >> region_shift);
  if (found == regions_.end() || (found->first << region_shift) + region_begin != bits)
    return false;
  in_use_ -= found->second.bytes();
  regions_.erase(found);
  last_ = {};
  return true;
}

GlobalMemory::Place GlobalMemory::find(std::uint64_t address) {
  const std::uint64_t number = address >> region_shift;
  if (last_.second == nullptr || last_.first != number) {
    const auto found = regions_.find(number);
    if (found == regions_.end()) return {};
    last_ = {number, &found->second};
  }
  return {last_.second, address - (number << region_shift) - region_begin};
}

bool GlobalMemory::was_freed(std::uint64_t address) const {
  const std::uint64_t number = address >> region_shift;
  return number > first_ && number <= next_ && !regions_.contains(number);
}

GlobalMemory::Place GlobalMemory::find(const void* address, std::size_t bytes) {
  const Place place = find(reinterpret_cast<std::uint64_t>(address));
  if (place.region == nullptr || place.offset > place.region->bytes() ||
      bytes > place.region->bytes() - place.offset)
    return {};
  return place;
}

}  // namespace sp2dpo::ptx
