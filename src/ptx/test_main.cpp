// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "device.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::ptx {
namespace {

/// Resets the device before each test, and fails a test that ends with findings or leaked memory.
/// Writes the kernels that were launched, with counts, to the file that SP2DPO_LAUNCHES names.
class Checks : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    device().reset();
    allocations_ = device().memory().allocations();
  }
  void OnTestEnd(const testing::TestInfo&) override {
    EXPECT_THAT(device().findings().take(), testing::IsEmpty());
    EXPECT_EQ(device().memory().allocations(), allocations_);
    for (const LaunchRecord& launch : device().launches()) ++launches_[launch.kernel];
  }
  void OnTestProgramEnd(const testing::UnitTest&) override {
    if (const char* const path = std::getenv("SP2DPO_LAUNCHES")) {
      std::ofstream file(path);
      for (const auto& [kernel, count] : launches_) file << kernel << ' ' << count << '\n';
    }
  }

  std::size_t allocations_ = 0;
  std::map<std::string, std::size_t> launches_;
};

}  // namespace
}  // namespace sp2dpo::ptx

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new sp2dpo::ptx::Checks);
  return RUN_ALL_TESTS();
}
