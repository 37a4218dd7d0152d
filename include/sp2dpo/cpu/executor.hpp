// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace sp2dpo::cpu {

/// Work on the indices [begin, end) of something; borrowed, and safe to call from several threads
/// at once for parts that do not overlap. Never throws.
class Task {
 public:
  template <std::invocable<std::int64_t, std::int64_t> F>
  Task(const F& work)  // NOLINT: a callable is a Task
      : context_(std::addressof(work)),
        call_([](const void* context, std::int64_t begin, std::int64_t end) {
          (*static_cast<const F*>(context))(begin, end);
        }) {}

  void operator()(std::int64_t begin, std::int64_t end) const { call_(context_, begin, end); }

 private:
  const void* context_;
  void (*call_)(const void*, std::int64_t, std::int64_t);
};

/// How the caller runs work in parallel: any callable object (n, grain, task) that calls
/// task(begin, end) for parts that together are [0, n) and returns when all are done. Parts of
/// fewer than `grain` indices are not worth a thread. Borrowed for the length of a call. The
/// library has no threads of its own, and its results are the same bits whatever the parts.
///
///     auto pool = [](std::int64_t n, std::int64_t grain, sp2dpo::cpu::Task task) {
///       at::parallel_for(0, n, grain, task);
///     };
class Executor {
 public:
  /// One part, on the calling thread.
  Executor() : Executor(serial) {}

  template <class F>
  requires(std::invocable<const F&, std::int64_t, std::int64_t, Task> && !std::same_as<F, Executor>)
      Executor(const F& parallel_for)  // NOLINT: a callable is an Executor
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
