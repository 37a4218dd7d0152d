// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

namespace sp2dpo::ptx {

/// The name of an error code, as CUDA's libraries return it.
template <class Code, std::size_t count>
const char* name_in(const std::pair<Code, const char*> (&names)[count], Code code) {
  for (const auto& [known, name] : names)
    if (known == code) return name;
  return "unknown error code";
}

}  // namespace sp2dpo::ptx
