// SPDX-License-Identifier: Apache-2.0
#pragma once

#ifdef __CUDACC__
#define SP2DPO_HD __host__ __device__
#else
#define SP2DPO_HD
#endif
