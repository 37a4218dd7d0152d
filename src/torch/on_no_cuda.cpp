// SPDX-License-Identifier: Apache-2.0
#include "on_cuda.hpp"
#include <c10/util/Exception.h>

namespace sp2dpo::on_cuda {

void pair_loss(const AnyObjective&, const PairInputs&, const PairOutputs&, std::int64_t,
               const at::Tensor& total) {
  TORCH_CHECK(false, "sp2dpo::Loss: the tensors are on ", total.device(),
              ", but this build of sp2dpo::torch has no CUDA kernels; build it with nvcc and a "
              "libtorch with CUDA");
}

}  // namespace sp2dpo::on_cuda
