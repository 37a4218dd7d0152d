// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

/// Structs of tensors that libtorch wants as lists: what autograd saves, and the results of an
/// operator. Such a struct has a static function template `members(self)` that returns an array of
/// pointers to its members.
namespace sp2dpo {

/// The members in their order.
template <class S>
std::vector<at::Tensor> pack(const S& tensors) {
  std::vector<at::Tensor> list;
  for (const at::Tensor* tensor : S::members(tensors)) list.push_back(*tensor);
  return list;
}

/// The inverse of pack().
template <class S>
S unpack(const std::vector<at::Tensor>& list) {
  S tensors;
  auto next = list.begin();
  for (at::Tensor* tensor : S::members(tensors)) {
    TORCH_INTERNAL_ASSERT(next != list.end());
    *tensor = *next++;
  }
  TORCH_INTERNAL_ASSERT(next == list.end());
  return tensors;
}

/// The result list of an operator's schema. `S` also has an array `names` for its members.
template <class S>
std::string result_list() {
  S tensors;
  static_assert(S::names.size() == std::tuple_size_v<decltype(S::members(tensors))>);
  std::string list;
  for (const char* name : S::names)
    list += (list.empty() ? "(Tensor " : ", Tensor ") + std::string(name);
  return list + ")";
}

}  // namespace sp2dpo
