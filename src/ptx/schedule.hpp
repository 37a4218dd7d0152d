// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace sp2dpo::ptx {

/// The order in which runnable threads, and blocks, take their turn: ascending or descending, each
/// thread up to where it has to wait; random; or the lowest runnable thread first, which takes one
/// warp as far as possible before the next begins.
enum class Order { ascending, descending, random, depth_first };

struct Schedule {
  Order order = Order::ascending;
  std::uint64_t seed = 0;
};

/// The runnable threads, and whose turn it is.
class Runnable {
 public:
  Runnable(std::uint32_t threads, const Schedule& schedule, std::uint64_t seed)
      : threads_(threads),
        order_(schedule.order),
        words_((threads + 63) / 64),
        random_(schedule.seed ^ seed) {}

  void insert(std::uint32_t thread) {
    const std::uint32_t at = position(thread);
    words_[at / 64] |= std::uint64_t{1} << (at % 64);
  }
  void erase(std::uint32_t thread) {
    const std::uint32_t at = position(thread);
    words_[at / 64] &= ~(std::uint64_t{1} << (at % 64));
  }

  /// Nothing if every thread waits.
  std::optional<std::uint32_t> next() {
    std::uint32_t from = last_ + 1;
    if (order_ == Order::depth_first) from = 0;
    if (order_ == Order::random) from = static_cast<std::uint32_t>(random_() % threads_);
    const auto found = at_or_after(from < threads_ ? from : 0);
    if (!found) return {};
    last_ = *found;
    return position(last_);
  }

 private:
  /// Position in the schedule's direction. The function is its own inverse.
  [[nodiscard]] std::uint32_t position(std::uint32_t thread) const {
    return order_ == Order::descending ? threads_ - 1 - thread : thread;
  }

  [[nodiscard]] std::optional<std::uint32_t> at_or_after(std::uint32_t from) const {
    const auto size = static_cast<std::uint32_t>(words_.size());
    std::uint64_t word = words_[from / 64] & ~std::uint64_t{0} << (from % 64);
    for (std::uint32_t i = 0; i <= size; ++i) {  // the first word again, for the bits before `from`
      const std::uint32_t w = (from / 64 + i) % size;
      if (i > 0) word = words_[w];
      if (word != 0) return w * 64 + static_cast<std::uint32_t>(std::countr_zero(word));
    }
    return {};
  }

  std::uint32_t threads_;
  Order order_;
  std::vector<std::uint64_t> words_;  ///< one bit per position
  std::mt19937_64 random_;
  std::uint32_t last_ = ~std::uint32_t{0};
};

}  // namespace sp2dpo::ptx
