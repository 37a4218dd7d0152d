// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::ptx {
namespace {

/// Each test begins with a fresh device, and ends without findings and without memory left behind.
class Checks : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    device().reset();
    allocations_ = device().memory().allocations();
  }
  void OnTestEnd(const testing::TestInfo&) override {
    EXPECT_THAT(device().findings().take(), testing::IsEmpty());
    EXPECT_EQ(device().memory().allocations(), allocations_);
  }

  std::size_t allocations_ = 0;
};

}  // namespace
}  // namespace sp2dpo::ptx

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new sp2dpo::ptx::Checks);
  return RUN_ALL_TESTS();
}
