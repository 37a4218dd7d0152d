// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "approximation.hpp"
#include "machine.hpp"
#include <cuda_runtime_api.h>

/// The device that the stand-in for CUDA's runtime offers, and what a test may do with it: choose
/// its properties and the order of its threads, have calls fail, and ask what was found.
namespace sp2dpo::ptx {

struct Properties {
  int major = 9, minor = 0;
  int multiprocessors = 132;
  std::size_t memory = std::size_t{80} << 30;
  std::size_t shared_per_block = 48 << 10, shared_per_block_optin = 227 << 10;
  std::uint32_t largest_cluster = 8;  ///< 0 below 9.0
};

/// A device of compute capability 9.0, or of the one that the environment names
/// (SP2DPO_PTX_DEVICE=100 for 10.0). Throws std::runtime_error where it is none that is known here.
Properties default_properties();

/// 2^32, or as the environment says (SP2DPO_PTX_INSTRUCTIONS). Throws std::runtime_error where that
/// is no number above zero.
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
  /// Of a launch, before it is given up.
  std::uint64_t max_instructions = default_max_instructions();
  /// As under stream capture: calls that a capture forbids are findings.
  bool is_capturing = false;

  GlobalMemory& memory() { return memory_; }
  Findings& findings() { return findings_; }
  std::vector<LaunchRecord>& launches() { return launches_; }

  /// The next call of this name ("cudaMalloc") fails with `error`, and does nothing; a launch goes
  /// by "launch".
  void fail_next(const std::string& call, cudaError_t error) { faults_[call] = error; }
  /// Success, or the error that was wished for.
  cudaError_t take_fault(const std::string& call);

  /// Its first state; what is allocated stays.
  void reset();

 private:
  GlobalMemory memory_;
  Findings findings_;
  std::vector<LaunchRecord> launches_;
  std::map<std::string, cudaError_t> faults_;
};

Device& device();

/// As long as it lives, device().is_capturing.
class Capture {
 public:
  Capture() { device().is_capturing = true; }
  ~Capture() { device().is_capturing = false; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
};

}  // namespace sp2dpo::ptx
