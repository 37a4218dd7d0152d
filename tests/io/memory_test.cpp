// SPDX-License-Identifier: Apache-2.0
// Memory of the readers, measured at the allocator.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>

#include "files.hpp"
#include <gtest/gtest.h>
#include <malloc.h>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/pairs.hpp>

namespace {

std::atomic<std::int64_t> held = 0;
std::atomic<std::int64_t> most = 0;

void* counted(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) return nullptr;
  const auto now = held += static_cast<std::int64_t>(malloc_usable_size(memory));
  if (now > most) most = now;
  return memory;
}

void release(void* memory) {
  if (memory == nullptr) return;
  held -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
  if (void* const memory = counted(size)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
  return operator new(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size);
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete[](void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  release(memory);
}

namespace sp2dpo::io {
namespace {

// At any time, also while the set of ids grows: the reader's fixed buffers and less than 48 bytes
// per pair.
TEST(PairReaderMemory, GrowsByLessThan48BytesPerPair) {
  constexpr std::int64_t pairs = 300'000;
  constexpr std::int64_t settled = 10'000;  // all buffers exist
  const test::Folder folder;
  const auto path = folder / "p.jsonl";
  {
    std::ofstream file(path);
    for (std::int64_t i = 0; i < pairs; ++i)
      file << R"({"id":"pair-)" << 1'000'000 + i << R"(","prompt":"p","chosen":"c","rejected":"r"})"
           << '\n';
  }

  PreferencePair pair;
  PairReader reader(path);
  while (reader.rows() < settled && reader.next(pair)) {
  }
  const std::int64_t buffers = held - 16 * settled;  // excluding the ids
  double worst = 0;
  for (most = held.load(); reader.next(pair); most = held.load())
    worst =
        std::max(worst, static_cast<double>(most - buffers) / static_cast<double>(reader.rows()));
  ASSERT_EQ(reader.rows(), pairs);
  EXPECT_LT(worst, 48);
  EXPECT_GT(worst, 16);  // an id is 16 bytes; less means that the measurement failed
  RecordProperty("bytes_per_pair_at_most", std::to_string(worst));
}

TEST(AnnotationReaderMemory, DoesNotGrow) {
  constexpr std::int64_t settled = 50'000;  // every read-ahead block has been used
  const std::int64_t nothing = held;
  const test::Folder folder;
  const auto path = folder / "a.jsonl";
  {
    std::ofstream file(path);
    for (int i = 0; i < 100'000; ++i)
      file << R"({"pair_id":"pair-)" << 1'000'000 + i
           << R"(","annotator":"a","prompt":"p","category":"style","magnitude":0.5,"confidence":1})"
           << '\n';
  }
  Annotation annotation;
  AnnotationReader reader(path);
  while (reader.rows() < settled && reader.next(annotation)) {
  }
  const std::int64_t before = held;
  EXPECT_LT(before - nothing, 8 << 20);
  most = before;
  while (reader.next(annotation)) {
  }
  EXPECT_EQ(reader.rows(), 100'000);
  EXPECT_LT(most - before, 4096);
}

}  // namespace
}  // namespace sp2dpo::io
