// SPDX-License-Identifier: Apache-2.0
#include "objective.hpp"

#include <sp2dpo/cuda/pair_loss.cuh>

// CUDA tensors need only this: it compiles the pair loop, which is found by the type of the
// objective.
static const sp2dpo::cuda::Registered<HuberPair> registered;
