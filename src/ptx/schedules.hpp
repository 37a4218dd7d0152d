// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device.hpp"

namespace sp2dpo::ptx {

/// Calls f under every order of threads and blocks, the random one with two seeds.
template <class F>
void for_each_schedule(const F& f) {
  for (const Schedule& schedule :
       {Schedule{Order::ascending}, Schedule{Order::descending}, Schedule{Order::depth_first},
        Schedule{Order::random, 1}, Schedule{Order::random, 2}}) {
    device().schedule = schedule;
    f();
  }
}

}  // namespace sp2dpo::ptx
