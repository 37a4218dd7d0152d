// SPDX-License-Identifier: Apache-2.0
#include "approximation.hpp"

#include <initializer_list>

namespace sp2dpo::ptx {

double Approximation::of(std::uint64_t operand) const {
  switch (error) {
    case Error::none:
      return 0;
    case Error::lowest:
      return -1;
    case Error::highest:
      return 1;
    case Error::seeded:
      break;
  }
  std::uint64_t hash = operand + seed * 0x9e3779b97f4a7c15u;
  for (const int shift : {30, 27, 31}) hash = (hash ^ hash >> shift) * 0xbf58476d1ce4e5b9u;
  return static_cast<double>(hash >> 11) * 0x1p-52 - 1;
}

Approximation& approximation() {
  static Approximation in_force;
  return in_force;
}

}  // namespace sp2dpo::ptx
