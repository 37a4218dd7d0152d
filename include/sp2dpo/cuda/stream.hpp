// SPDX-License-Identifier: Apache-2.0
#pragma once

// Declared here, so that headers need neither nvcc nor the CUDA toolkit.
struct CUstream_st;

namespace sp2dpo::cuda {

/// cudaStream_t, which needs no header of CUDA under this name.
using Stream = CUstream_st*;

}  // namespace sp2dpo::cuda
