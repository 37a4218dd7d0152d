// SPDX-License-Identifier: Apache-2.0
#include "launches.hpp"

#include "device_array.hpp"
#include "host/device.hpp"
#include <gmock/gmock.h>

// What the stand-in for CUDA's runtime refuses, as hardware does.
namespace sp2dpo::ptx {
namespace {

using cuda::DeviceArray;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(CudaLaunches, AreRefusedBeyondTheLimits) {
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

TEST(CudaLaunches, OfClustersMustSuitGridAndDevice) {
  EXPECT_EQ(launch_nothing(8, 32, 4), cudaSuccess);
  EXPECT_EQ(launch_nothing(9, 32, 4), cudaErrorInvalidClusterSize);
  EXPECT_EQ(launch_nothing(16, 32, 16), cudaErrorInvalidClusterSize);
  device().properties.major = 8;
  EXPECT_EQ(launch_nothing(8, 32, 4), cudaErrorNotSupported);
  EXPECT_EQ(launch_nothing(8, 32), cudaSuccess);
}

TEST(CudaLaunches, HaveAsMuchSharedMemoryAsTheyAskedFor) {
  const DeviceArray<int> out(1);
  EXPECT_EQ(launch_dynamic(out.data(), 12288, false), cudaSuccess);  // 48 KiB
  EXPECT_THAT(out.get(), ElementsAre(12287));
  EXPECT_EQ(launch_dynamic(out.data(), 12289, false), cudaErrorInvalidValue);
  EXPECT_EQ(launch_dynamic(out.data(), 58112, true), cudaSuccess);  // 227 KiB
  EXPECT_THAT(out.get(), ElementsAre(58111));
  EXPECT_EQ(launch_dynamic(out.data(), 58113, true), cudaErrorInvalidValue);
}

TEST(CudaMemory, EndsAndIsFreedOnce) {
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

TEST(CudaMemory, IsNoBusinessOfACapture) {
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
