// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace sp2dpo::cpu {

/// Borrowed work on a range of indices [begin, end). Several threads may call it at once for parts
/// that do not overlap. It never throws.
class Task {
 public:
  template <std::invocable<std::int64_t, std::int64_t> F>
  Task(const F& work)  // NOLINT: implicit on purpose
      : context_(std::addressof(work)),
        call_([](const void* context, std::int64_t begin, std::int64_t end) {
          (*static_cast<const F*>(context))(begin, end);
        }) {}

  void operator()(std::int64_t begin, std::int64_t end) const { call_(context_, begin, end); }

 private:
  const void* context_;
  void (*call_)(const void*, std::int64_t, std::int64_t);
};

/// The caller's way to run work in parallel: any callable object (n, grain, task) that calls
/// task(begin, end) for parts that together are [0, n), and returns when all are done. Parts of
/// fewer than `grain` indices are not worth a thread. Borrowed for the length of a call. The
/// library has no threads of its own, and its results are bit-identical for any partition.
///
///     auto pool = [](std::int64_t n, std::int64_t grain, sp2dpo::cpu::Task task) {
///       at::parallel_for(0, n, grain, task);
///     };
class Executor {
 public:
  /// Runs everything as one part, on the calling thread.
  Executor() : Executor(serial) {}

  template <class F>
  requires(std::invocable<const F&, std::int64_t, std::int64_t, Task> && !std::same_as<F, Executor>)
      Executor(const F& parallel_for)  // NOLINT: implicit on purpose
      : context_(std::addressof(parallel_for)),
        call_([](const void* context, std::int64_t n, std::int64_t grain, Task task) {
          (*static_cast<const F*>(context))(n, grain, task);
        }) {}

  void operator()(std::int64_t n, std::int64_t grain, Task task) const {
    if (n > 0) call_(context_, n, grain, task);
  }

 private:
  struct Serial {
    void operator()(std::int64_t n, std::int64_t, Task task) const { task(0, n); }
  };
  static constexpr Serial serial{};

  const void* context_;
  void (*call_)(const void*, std::int64_t, std::int64_t, Task);
};

}  // namespace sp2dpo::cpu
