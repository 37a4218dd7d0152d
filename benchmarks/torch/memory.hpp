// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The times of memory traffic alone, with libtorch's number of threads.
namespace sp2dpo::benchmarks {

/// Reads `bytes` once.
void read_memory(const void* from, std::int64_t bytes);

/// Reads `bytes` and overwrites them.
void rewrite_memory(void* memory, std::int64_t bytes);

/// Reads `bytes` and writes as many elsewhere.
void copy_memory(void* to, const void* from, std::int64_t bytes);

/// Size of the last-level cache in bytes.
std::int64_t last_level_cache();

}  // namespace sp2dpo::benchmarks
