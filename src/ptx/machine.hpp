// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "memory.hpp"
#include "races.hpp"
#include "schedule.hpp"

namespace sp2dpo::ptx {

struct Launch {
  const Kernel& kernel;
  Extent grid{1, 1, 1}, block{1, 1, 1}, cluster{1, 1, 1};
  std::uint32_t dynamic_shared_bytes = 0;
  std::span<const std::byte> parameters{};
  /// Of all its threads together; a kernel that does not end is known by it.
  std::uint64_t max_instructions = std::uint64_t{1} << 32;
};

/// What the checks found, a sentence each. Beyond the first few of a launch they are counted only.
class Findings {
 public:
  static constexpr std::size_t max_texts = 8;
  static constexpr std::size_t too_many = 64;

  void begin_launch() { in_launch_ = 0; }
  void add(std::string text);
  [[nodiscard]] bool are_too_many() const { return in_launch_ >= too_many; }
  /// All since the last call.
  std::vector<std::string> take();

 private:
  std::vector<std::string> texts_;
  std::size_t in_launch_ = 0;
};

/// Of the environment: Launch::max_instructions where a test does not choose.
inline constexpr const char* limit_variable = "SP2DPO_PTX_INSTRUCTIONS";

/// Runs a launch to its end, or to where the findings are too many. Clusters come one after the
/// other; what they do to the same memory is compared all the same. Throws std::runtime_error
/// beyond the launch's number of instructions.
void run(const Launch& launch, const Schedule& schedule, GlobalMemory& memory, Findings& findings);

}  // namespace sp2dpo::ptx
