// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <typeinfo>

#include <sp2dpo/pair_loss.hpp>

namespace sp2dpo {

/// An objective whose type is forgotten: its bytes and the pair loop made for it. Compiled code calls
/// it by pointer once a batch, and so serves objectives that it has never heard of.
class AnyObjective {
 public:
  template <PairObjective Objective>
  AnyObjective(const Objective& objective)  // NOLINT: every objective is one
      : pair_loss_([](const void* self, const PairInputs& in, const PairOutputs& out,
                      std::int64_t begin, std::int64_t end) {
          return sp2dpo::pair_loss(in, out, begin, end, *static_cast<const Objective*>(self));
        }),
        type_(&typeid(Objective)) {
    static_assert(sizeof(Objective) <= capacity && alignof(Objective) <= alignof(std::max_align_t),
                  "an objective holds at most 64 bytes of parameters");
    std::memcpy(bytes_, &objective, sizeof(Objective));
  }

  /// As sp2dpo::pair_loss, for the pairs in [begin, end).
  double pair_loss(const PairInputs& in, const PairOutputs& out, std::int64_t begin,
                   std::int64_t end) const {
    return pair_loss_(bytes_, in, out, begin, end);
  }

  [[nodiscard]] const std::type_info& type() const noexcept { return *type_; }
  [[nodiscard]] const void* data() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t capacity = 64;

  alignas(std::max_align_t) std::byte bytes_[capacity]{};
  double (*pair_loss_)(const void*, const PairInputs&, const PairOutputs&, std::int64_t,
                       std::int64_t);
  const std::type_info* type_;
};

}  // namespace sp2dpo
