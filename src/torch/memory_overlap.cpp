// SPDX-License-Identifier: Apache-2.0
#include "memory_overlap.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/variable.h>

namespace sp2dpo {
namespace {

using at::Tensor;

/// A dimension of more than one index: the stride in elements, and the number of indices.
using Dimension = std::pair<std::int64_t, std::int64_t>;

/// Returns the dimensions by ascending stride.
std::vector<Dimension> dimensions_of(const Tensor& tensor) {
  std::vector<Dimension> dimensions;
  for (std::int64_t i = 0; i < tensor.dim(); ++i)
    if (tensor.size(i) > 1) dimensions.emplace_back(tensor.stride(i), tensor.size(i));
  std::ranges::sort(dimensions);
  return dimensions;
}

/// Returns the elements from the first to one after the last of a tensor of these dimensions.
std::int64_t extent_of(const std::vector<Dimension>& dimensions, std::size_t count) {
  std::int64_t extent = 1;
  for (std::size_t i = 0; i < count; ++i)
    extent += dimensions[i].first * (dimensions[i].second - 1);
  return extent;
}

/// Returns whether the two interleave without touching, such as two slices of one wider tensor:
/// blocks of the inner dimensions begin at multiples of one step, and each pair of blocks fits into
/// a step.
bool interleave(const Tensor& a, const Tensor& b) {
  const auto of_a = dimensions_of(a), of_b = dimensions_of(b);
  const std::int64_t apart = b.storage_offset() - a.storage_offset();
  for (std::size_t inner = 0; inner <= std::min(of_a.size(), of_b.size()); ++inner) {
    std::int64_t step = 0;
    for (const auto* dimensions : {&of_a, &of_b})
      for (std::size_t i = inner; i < dimensions->size(); ++i)
        step = std::gcd(step, (*dimensions)[i].first);
    if (step == 0) continue;
    const std::int64_t shift = (apart % step + step) % step;
    if (shift >= extent_of(of_a, inner) && step - shift >= extent_of(of_b, inner)) return true;
  }
  return false;
}

}  // namespace

void check_written_once(const char* name, const Tensor& tensor) {
  const auto dimensions = dimensions_of(tensor);
  for (std::size_t i = 0; i < dimensions.size(); ++i)
    TORCH_CHECK(dimensions[i].first >= extent_of(dimensions, i), "sp2dpo::Loss: ", name, " ",
                tensor.sizes(), " has strides ", tensor.strides(),
                ", by which elements share memory, and cannot be written; make it contiguous()");
}

void check_apart(const char* name, const Tensor& tensor, const char* other_name,
                 const Tensor& other) {
  if (!tensor.defined() || !other.defined() || tensor.numel() == 0 || other.numel() == 0) return;
  const auto range = [](const Tensor& t) {
    const auto dimensions = dimensions_of(t);
    const auto begin = reinterpret_cast<std::uintptr_t>(t.data_ptr());
    const auto elements = static_cast<std::size_t>(extent_of(dimensions, dimensions.size()));
    return std::pair(begin, begin + elements * t.element_size());
  };
  const auto a = range(tensor), b = range(other);
  if (a.second <= b.first || b.second <= a.first) return;
  const bool comparable = tensor.is_alias_of(other) && tensor.scalar_type() == other.scalar_type();
  TORCH_CHECK(comparable && interleave(tensor, other), "sp2dpo::Loss: ", name,
              ", which is written, shares memory with ", other_name,
              ", which is read; pass memory of its own");
}

void mark_written(const Tensor& tensor) {
  if (!tensor.is_inference()) torch::autograd::impl::bump_version(tensor);
}

}  // namespace sp2dpo
