// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace sp2dpo {

/// Tensors that a node of the graph reads again but autograd does not save, because they have no
/// gradient. Remembers their versions, so that the node can tell if one was changed in place.
class ConstantTensors {
 public:
  ConstantTensors() = default;
  /// Undefined tensors, and those of inference mode, which have no version, are left out.
  ConstantTensors(std::initializer_list<std::pair<const char*, at::Tensor>> tensors) {
    for (const auto& [name, tensor] : tensors)
      if (tensor.defined() && !tensor.is_inference())
        entries_.push_back({name, tensor, tensor._version()});
  }

  /// Throws c10::Error if a tensor was changed since.
  void check() const {
    for (const Entry& entry : entries_)
      TORCH_CHECK(entry.tensor._version() == entry.version, "sp2dpo::Loss: ", entry.name,
                  " was changed in place after the loss was computed, and its second derivative "
                  "needs the numbers of then; pass a clone()");
  }

 private:
  struct Entry {
    const char* name;
    at::Tensor tensor;
    std::int64_t version;
  };
  std::vector<Entry> entries_;
};

}  // namespace sp2dpo
