// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

namespace sp2dpo::ptx {

/// Of a kernel for up to 512 threads that does nothing of interest.
cudaError_t launch_nothing(dim3 grid, dim3 block, unsigned cluster = 1,
                           cudaStream_t stream = nullptr);

/// Of a kernel that sends count − 1 through `count` numbers of dynamic shared memory.
cudaError_t launch_dynamic(int* out, int count, bool opt_in);

/// Of a kernel that does not end while *flag is zero.
void launch_waiting(const int* flag);

}  // namespace sp2dpo::ptx
