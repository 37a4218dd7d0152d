// SPDX-License-Identifier: Apache-2.0
#include "warp.hpp"

#include <optional>

namespace sp2dpo::ptx {
namespace {

template <class F>
void for_each_lane(const Lanes& lanes, const F& f) {
  for (std::uint32_t lane = 0; lane < warp_size; ++lane)
    if (lanes.mask >> lane & 1) f(lane, lanes.slots[lane]);
}

struct Source {
  std::uint32_t lane;
  bool is_within;  ///< the segment; otherwise the lane keeps its own word
};

/// Follows the PTX manual: `c` holds the segment's mask in its upper bits, the bound in the lower.
Source source_of(Exchange kind, std::uint32_t lane, std::uint32_t b, std::uint32_t c) {
  const std::uint32_t segment = c >> 8 & 31;
  const std::uint32_t bound = (lane & segment) | (c & 31 & ~segment);
  switch (kind) {
    case Exchange::shuffle_up:
      return {lane - b, static_cast<std::int32_t>(lane - b) >= static_cast<std::int32_t>(bound)};
    case Exchange::shuffle_down:
      return {lane + b, lane + b <= bound};
    case Exchange::shuffle_xor:
      return {lane ^ b, (lane ^ b) <= bound};
    default: {
      const std::uint32_t from = (lane & segment) | (b & ~segment);
      return {from, from <= bound};
    }
  }
}

std::uint32_t shuffle(const Instruction& in, const Lanes& lanes) {
  std::array<std::uint64_t, warp_size> given{};
  for_each_lane(lanes, [&](auto lane, auto* slots) { given[lane] = slots[in.source[0]]; });
  std::uint32_t wrong = 0;
  for_each_lane(lanes, [&](auto lane, auto* slots) {
    const Source source =
        source_of(in.exchange, lane, static_cast<std::uint32_t>(slots[in.source[1]]) & 31,
                  static_cast<std::uint32_t>(slots[in.source[2]]));
    const std::uint32_t from = source.is_within ? source.lane : lane;
    if ((lanes.mask >> from & 1) == 0) wrong |= 1u << lane;
    slots[in.target[0]] = given[from];
    if (in.target[1] != no_slot) slots[in.target[1]] = source.is_within;
  });
  return wrong;
}

std::uint64_t vote(const Instruction& in, const Lanes& lanes) {
  std::uint32_t ballot = 0;
  for_each_lane(lanes, [&](auto lane, auto* slots) {
    ballot |= static_cast<std::uint32_t>(slots[in.source[0]] & 1) << lane;
  });
  if (in.exchange == Exchange::all) return ballot == lanes.mask;
  return in.exchange == Exchange::any ? ballot != 0 : ballot;
}

/// Combines the lanes' values by the instruction's binary operation.
std::uint64_t reduce(const Instruction& in, const Lanes& lanes) {
  std::optional<std::uint64_t> total;
  for_each_lane(lanes, [&](auto, auto* slots) {
    const std::uint64_t value = slots[in.source[0]];
    if (total) {
      std::array<std::uint64_t, 2> both{*total, value};
      Instruction operation;
      operation.source = {0, 1};
      operation.target[0] = 0;
      in.operation(operation, both.data());
      total = both[0];
    } else {
      total = value;
    }
  });
  return *total;
}

}  // namespace

std::uint32_t exchange(const Instruction& in, const Lanes& lanes) {
  switch (in.exchange) {
    case Exchange::shuffle_up:
    case Exchange::shuffle_down:
    case Exchange::shuffle_xor:
    case Exchange::shuffle_index:
      return shuffle(in, lanes);
    case Exchange::ballot:
    case Exchange::all:
    case Exchange::any:
    case Exchange::reduce: {
      const std::uint64_t result =
          in.exchange == Exchange::reduce ? reduce(in, lanes) : vote(in, lanes);
      for_each_lane(lanes, [&](auto, auto* slots) { slots[in.target[0]] = result; });
      return 0;
    }
    case Exchange::barrier:
      break;
  }
  return 0;
}

}  // namespace sp2dpo::ptx
