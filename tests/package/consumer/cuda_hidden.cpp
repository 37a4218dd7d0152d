// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/cuda/hidden.hpp>

int main() {
  // 1 KiB of rows of 1 logit and twice 2 hidden numbers, in 4 bytes each; no GPU is needed.
  const sp2dpo::HiddenRows rows{
      .hidden = {nullptr, sp2dpo::DType::float32, 1, 2, 2},
      .head = {nullptr, sp2dpo::DType::float32, 1, 2, 2},
  };
  return sp2dpo::cuda::hidden_chunk_rows(rows, 1024) >= 1 ? 0 : 1;
}
