// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace sp2dpo {

/// Autocast on the CPU for bfloat16, while it lives.
struct Autocast {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  static void enable(bool on) {
    at::autocast::set_autocast_enabled(at::kCPU, on);
  }
#else
  static void enable(bool on) {
    at::autocast::set_cpu_enabled(on);
  }
#endif
  Autocast() {
    enable(true);
  }
  ~Autocast() {
    enable(false);
    at::autocast::clear_cache();
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
};

}  // namespace sp2dpo
