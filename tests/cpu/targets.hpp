// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <hwy/highway.h>

namespace sp2dpo::cpu {

/// Runs each test once for every instruction set that is compiled in and that this machine has.
class EveryTarget : public testing::TestWithParam<std::int64_t> {
 public:
  static std::vector<std::int64_t> all() {
    std::vector<std::int64_t> targets;
    for (const std::int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_NEON, HWY_STATIC_TARGET})
      if ((hwy::SupportedTargets() & target) != 0 && (targets.empty() || targets.back() != target))
        targets.push_back(target);
    return targets;
  }
  static std::string name(const testing::TestParamInfo<std::int64_t>& info) {
    return hwy::TargetName(info.param);
  }

 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }

  static bool has_fma() { return GetParam() <= HWY_AVX2 || GetParam() == HWY_NEON; }
};

}  // namespace sp2dpo::cpu
