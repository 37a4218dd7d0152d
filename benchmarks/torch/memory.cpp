// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <algorithm>
#include <cstring>

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <unistd.h>

namespace sp2dpo::benchmarks {
namespace {

constexpr std::int64_t block = 1 << 20;

// Compiled for the widest vectors, as the kernels are: with narrower ones, one thread does not keep
// memory busy.
[[gnu::target_clones("avx512f", "avx2", "default")]] std::uint64_t sum_of(
    const std::uint64_t* words, std::int64_t count) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += words[i];
  return sum;
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void flip(std::uint64_t* words,
                                                               std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) words[i] ^= 1;
}

}  // namespace

void read_memory(const void* from, std::int64_t bytes) {
  at::parallel_for(0, bytes / 8, block, [&](std::int64_t begin, std::int64_t end) {
    benchmark::DoNotOptimize(sum_of(static_cast<const std::uint64_t*>(from) + begin, end - begin));
  });
}

void rewrite_memory(void* memory, std::int64_t bytes) {
  at::parallel_for(0, bytes / 8, block, [&](std::int64_t begin, std::int64_t end) {
    flip(static_cast<std::uint64_t*>(memory) + begin, end - begin);
  });
  benchmark::ClobberMemory();
}

void copy_memory(void* to, const void* from, std::int64_t bytes) {
  at::parallel_for(0, bytes, block, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                static_cast<std::size_t>(end - begin));
  });
  benchmark::ClobberMemory();
}

std::int64_t last_level_cache() {
  // sysconf adds up the caches of all sockets on some processors.
  std::int64_t size = 0;
  for (const auto& cache : benchmark::CPUInfo::Get().caches)
    size = std::max<std::int64_t>(size, cache.size);
  return size;
}

}  // namespace sp2dpo::benchmarks
