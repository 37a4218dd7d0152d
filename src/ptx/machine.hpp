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
  /// Limit for all threads together, which ends a kernel that would run forever.
  std::uint64_t max_instructions = std::uint64_t{1} << 32;
};

/// The findings of the checks, one sentence each. Beyond the first few of a launch they are only
/// counted.
class Findings {
 public:
  static constexpr std::size_t max_texts = 8;
  static constexpr std::size_t too_many = 64;

  void begin_launch() { in_launch_ = 0; }
  void add(std::string text);
  [[nodiscard]] bool are_too_many() const { return in_launch_ >= too_many; }
  /// Returns the findings since the last call.
  std::vector<std::string> take();

 private:
  std::vector<std::string> texts_;
  std::size_t in_launch_ = 0;
};

/// The environment variable that sets the default of Launch::max_instructions.
inline constexpr const char* limit_variable = "SP2DPO_PTX_INSTRUCTIONS";

/// Runs a launch to its end, or until the findings are too many. Clusters run one after the other,
/// but races between them are found. Throws std::runtime_error when the launch exceeds its limit of
/// instructions.
void run(const Launch& launch, const Schedule& schedule, GlobalMemory& memory, Findings& findings);

}  // namespace sp2dpo::ptx
