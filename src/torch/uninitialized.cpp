// SPDX-License-Identifier: Apache-2.0
#include "uninitialized.hpp"

#include <cstddef>
#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace sp2dpo {
namespace {

/// Asks for huge pages, which the system may not grant.
void request_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 4096;
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / page * page;
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace

at::Tensor uninitialized(at::IntArrayRef sizes, at::ScalarType type, const at::Device& device) {
  constexpr std::size_t large = std::size_t{4} << 20;
  if (!device.is_cpu()) return at::empty(sizes, at::TensorOptions(type).device(device));
  at::Tensor result = at::detail::empty_cpu(sizes, type);
  if (result.nbytes() >= large) request_huge_pages(result.data_ptr(), result.nbytes());
  return result;
}

}  // namespace sp2dpo
