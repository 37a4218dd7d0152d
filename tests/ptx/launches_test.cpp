// SPDX-License-Identifier: Apache-2.0
#include "launches.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include <gmock/gmock.h>

// The interpreter's CUDA runtime refuses what hardware refuses.
namespace sp2dpo::ptx {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

TEST(PtxLaunches, AreRefusedBeyondTheLimits) {
  EXPECT_EQ(launch_nothing(2, 512), cudaSuccess);
  EXPECT_EQ(launch_nothing(2, 513), cudaErrorInvalidValue);  // compiled for 512
  EXPECT_EQ(launch_nothing(2, 1025), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch_nothing(2, dim3(1, 1, 65)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch_nothing(0, 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch_nothing(1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch_nothing(dim3(1, 65536), 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch_nothing(1u << 31, 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_THAT(device().launches(), SizeIs(1));
}

TEST(PtxLaunches, WithClustersMustSuitGridAndDevice) {
  EXPECT_EQ(launch_nothing(8, 32, 4), cudaSuccess);
  EXPECT_EQ(launch_nothing(9, 32, 4), cudaErrorInvalidClusterSize);
  EXPECT_EQ(launch_nothing(16, 32, 16), cudaErrorInvalidClusterSize);
  device().properties.major = 8;
  EXPECT_EQ(launch_nothing(8, 32, 4), cudaErrorNotSupported);
  EXPECT_EQ(launch_nothing(8, 32), cudaSuccess);
}

TEST(PtxLaunches, GetTheSharedMemoryThatTheyAskFor) {
  const DeviceArray<int> out(1);
  EXPECT_EQ(launch_dynamic(out.data(), 12288, false), cudaSuccess);  // 48 KiB
  EXPECT_THAT(out.get(), ElementsAre(12287));
  EXPECT_EQ(launch_dynamic(out.data(), 12289, false), cudaErrorInvalidValue);
  EXPECT_EQ(launch_dynamic(out.data(), 58112, true), cudaSuccess);  // 227 KiB
  EXPECT_THAT(out.get(), ElementsAre(58111));
  EXPECT_EQ(launch_dynamic(out.data(), 58113, true), cudaErrorInvalidValue);
}

/// Sets a variable of the environment for its lifetime.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

TEST(PtxLaunches, EndAtALimitThatTheEnvironmentSets) {
  EXPECT_EQ(device().max_instructions, std::uint64_t{1} << 32);
  const DeviceArray<int> zero(std::vector<int>{0}), one(std::vector<int>{1});
  {
    const Environment limit("SP2DPO_PTX_INSTRUCTIONS", "100000");
    device().reset();
    launch_waiting(one.data());
    EXPECT_THAT([&] { launch_waiting(zero.data()); },
                ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("waiting_kernel"),
                                                        HasSubstr(" 100000 instructions"),
                                                        HasSubstr("SP2DPO_PTX_INSTRUCTIONS"))));
  }
  for (const char* wrong : {"", "0", "-1", "many", "5 ", "99999999999999999999"}) {
    const Environment limit("SP2DPO_PTX_INSTRUCTIONS", wrong);
    EXPECT_THAT([] { device().reset(); },
                ThrowsMessage<std::runtime_error>(AllOf(
                    HasSubstr("SP2DPO_PTX_INSTRUCTIONS"), HasSubstr("expected a number above 0"),
                    HasSubstr('"' + std::string(wrong) + '"'))));
  }
}

TEST(PtxLaunches, RunOnTheDeviceThatTheEnvironmentNames) {
  {
    const Environment chosen("SP2DPO_PTX_DEVICE", "120");
    device().reset();
    int major = 0, shared = 0;
    EXPECT_EQ(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), cudaSuccess);
    EXPECT_EQ(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0),
              cudaSuccess);
    EXPECT_EQ(major, 12);
    EXPECT_EQ(shared, 99 << 10);
  }
  const Environment unknown("SP2DPO_PTX_DEVICE", "9.0");
  EXPECT_THAT([] { device().reset(); }, ThrowsMessage<std::runtime_error>(AllOf(
                                            HasSubstr("SP2DPO_PTX_DEVICE"), HasSubstr("9.0"))));
}

TEST(PtxMemory, IsLimitedAndFreedOnce) {
  device().properties.memory = 1000;
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 600), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 600), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMalloc(&second, 600), cudaSuccess);
  char byte = 0;
  EXPECT_EQ(cudaMemcpy(first, &byte, 1, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(second, 0, 601), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
}

TEST(PtxMemory, ReportsAccessesOutOfBoundsAfterAFreeAndBeforeAWrite) {
  device().max_instructions = 100000;
  int* last = nullptr;
  {
    const DeviceArray<int> before(std::vector<int>{1}), memory(std::vector<int>{1, 2, 3});
    launch_waiting(memory.data() - 1);
    launch_waiting(memory.data() + 3);
    last = memory.data() + 2;
  }
  launch_waiting(last);
  const DeviceArray<int> never_written(5);
  EXPECT_THROW(launch_waiting(never_written.data() + 1), std::runtime_error);
  const auto beside = "are out of bounds of allocation of 12 bytes";
  EXPECT_THAT(
      device().findings().take(),
      ElementsAre(AllOf(HasSubstr("bytes -4 to 0, "), HasSubstr(beside)),
                  AllOf(HasSubstr("bytes 12 to 16, "), HasSubstr(beside)),
                  HasSubstr("not an address of device memory: it was freed"),
                  ContainsRegex("reads uninitialised memory, at 0x[0-9a-f]+, "
                                "byte 4 of allocation of 20 bytes at 0x[0-9a-f]+: "
                                "`ld.volatile.global.u32 [^`]*`, line [0-9]+ of the PTX for "
                                "sm_90 .launches.cu:[0-9]+.")));
}

TEST(PtxMemory, IsNotAllocatedDuringACapture) {
  void* memory = nullptr;
  {
    const Capture capture;
    EXPECT_EQ(launch_nothing(1, 32), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&memory, 8), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  }
  EXPECT_THAT(device().findings().take(),
              ElementsAre(HasSubstr("cudaMalloc"), HasSubstr("cudaDeviceSynchronize")));
}

}  // namespace
}  // namespace sp2dpo::ptx
