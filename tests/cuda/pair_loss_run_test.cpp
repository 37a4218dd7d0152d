// SPDX-License-Identifier: Apache-2.0
#include "device_array.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/cuda/pair_loss.hpp>

namespace sp2dpo::cuda {
namespace {

TEST(CudaPairLossRun, GivesLogTwoWherePolicyEqualsReference) {
  DeviceArray<double> total(1);
  pair_loss({.in = {.beta = 0.1}, .total = {total.data(), DType::float64}, .pairs = 1}, Sigmoid{},
            nullptr);
  EXPECT_DOUBLE_EQ(total.get()[0], 0.69314718055994531);
}

}  // namespace
}  // namespace sp2dpo::cuda
