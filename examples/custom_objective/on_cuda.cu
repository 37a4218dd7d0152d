// SPDX-License-Identifier: Apache-2.0
#include "objective.hpp"

#include <sp2dpo/cuda/pair_loss.cuh>

// All that CUDA tensors need: the pair loop is compiled here, and found by the objective's type.
static const sp2dpo::cuda::Registered<HuberPair> registered;
