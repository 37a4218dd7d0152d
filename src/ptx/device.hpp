// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "approximation.hpp"
#include "machine.hpp"
#include <cuda_runtime_api.h>

/// The device of the interpreter's CUDA runtime. A test sets its properties and the order of its
/// threads, makes calls fail, and reads the findings. Not thread-safe.
namespace sp2dpo::ptx {

struct Properties {
  int major = 9, minor = 0;
  int multiprocessors = 132;
  std::size_t memory = std::size_t{80} << 30;
  std::size_t shared_per_block = 48 << 10, shared_per_block_optin = 227 << 10;
  std::uint32_t largest_cluster = 8;  ///< 0 below 9.0
};

/// A device of compute capability 9.0, or of the one that SP2DPO_PTX_DEVICE names in the
/// environment (100 for 10.0). Throws std::runtime_error if that is unknown.
Properties default_properties();

/// 2^32, or the value of SP2DPO_PTX_INSTRUCTIONS in the environment. Throws std::runtime_error if
/// that is not a number above zero.
std::uint64_t default_max_instructions();

struct LaunchRecord {
  std::string kernel;
  Extent grid, block, cluster;
  std::size_t dynamic_shared_bytes;
  cudaStream_t stream;
};

class Device {
 public:
  Properties properties = default_properties();
  Schedule schedule;
  /// Limit for one launch, after which it ends with an error.
  std::uint64_t max_instructions = default_max_instructions();
  /// Behaves as under stream capture: calls that a capture forbids become findings.
  bool is_capturing = false;

  GlobalMemory& memory() { return memory_; }
  Findings& findings() { return findings_; }
  std::vector<LaunchRecord>& launches() { return launches_; }

  /// Makes the next call of this name ("cudaMalloc", or "launch" for any launch) do nothing and
  /// return `error`.
  void fail_next(const std::string& call, cudaError_t error) { faults_[call] = error; }
  /// Returns the error that fail_next() set for the call, once; success otherwise.
  cudaError_t take_fault(const std::string& call);

  /// Restores the initial state. Allocations stay.
  void reset();

 private:
  GlobalMemory memory_;
  Findings findings_;
  std::vector<LaunchRecord> launches_;
  std::map<std::string, cudaError_t> faults_;
};

Device& device();

/// Sets device().is_capturing for its lifetime.
class Capture {
 public:
  Capture() { device().is_capturing = true; }
  ~Capture() { device().is_capturing = false; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
};

}  // namespace sp2dpo::ptx
