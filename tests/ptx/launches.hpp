// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

namespace sp2dpo::ptx {

/// Launches an empty kernel that is compiled for up to 512 threads.
cudaError_t launch_nothing(dim3 grid, dim3 block, unsigned cluster = 1,
                           cudaStream_t stream = nullptr);

/// Launches a kernel that passes count − 1 through `count` integers of dynamic shared memory.
cudaError_t launch_dynamic(int* out, int count, bool opt_in);

/// Launches a kernel that runs while *flag is zero.
void launch_waiting(const int* flag);

}  // namespace sp2dpo::ptx
