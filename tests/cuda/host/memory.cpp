// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace sp2dpo::ptx {
namespace {

constexpr int region_shift = 36;

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
      cells_(zeros<Cell>((bytes + 1) / 2)) {}

void Region::set_initialised(std::size_t offset, std::size_t count, bool initialised) {
  for (std::size_t i = offset / 2; i < (offset + count + 1) / 2; ++i) {
    cells_.get()[i] = {};
    cells_.get()[i].is_initialised = initialised;
  }
}

void* GlobalMemory::allocate(std::size_t bytes, std::size_t capacity) {
  if (bytes > capacity - std::min(capacity, in_use_)) return nullptr;
  const std::uint64_t number = ++next_;
  regions_.try_emplace(number, "allocation of " + std::to_string(bytes) + " bytes", bytes);
  in_use_ += bytes;
  return reinterpret_cast<void*>(number << region_shift);
}

bool GlobalMemory::free(void* address) {
  const auto bits = reinterpret_cast<std::uint64_t>(address);
  const auto found = regions_.find(bits >> region_shift);
  if (found == regions_.end() || found->first << region_shift != bits) return false;
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
  return {last_.second, address & ((std::uint64_t{1} << region_shift) - 1)};
}

GlobalMemory::Place GlobalMemory::find(const void* address, std::size_t bytes) {
  const Place place = find(reinterpret_cast<std::uint64_t>(address));
  if (place.region == nullptr || place.offset > place.region->bytes() ||
      bytes > place.region->bytes() - place.offset)
    return {};
  return place;
}

}  // namespace sp2dpo::ptx
