// SPDX-License-Identifier: Apache-2.0
#include "views.hpp"

#include "controls.hpp"
#include <c10/util/Exception.h>

namespace sp2dpo {

using at::Tensor;

void check_rows_tensor(const char* name, const Tensor& tensor) {
  TORCH_CHECK(tensor.defined(), "sp2dpo::Loss: ", name, " is undefined");
  TORCH_CHECK(is_floating(tensor), "sp2dpo::Loss: ", name,
              " must be float16, bfloat16, float32 or float64, not ", tensor.scalar_type());
  check_readable(name, tensor);
  TORCH_CHECK(tensor.dim() == 3 || tensor.dim() == 2, "sp2dpo::Loss: ", name,
              " must have the shape [2P, T, …] or, packed, [R, …], not ", tensor.sizes());
  TORCH_CHECK(tensor.numel() > 0, "sp2dpo::Loss: ", name, " ", tensor.sizes(), " is empty");
  TORCH_CHECK(tensor.stride(-1) == 1 || tensor.size(-1) == 1,
              "sp2dpo::Loss: the last dimension of ", name, " must be dense (stride 1, not ",
              tensor.stride(-1), "); make it contiguous()");
}

RowLayout row_layout(const Tensor& tensor) {
  if (tensor.dim() == 2) return {.stride = tensor.stride(0)};
  return {.stride = tensor.stride(1), .inner = tensor.size(1), .outer_stride = tensor.stride(0)};
}

LogitRows logit_rows(const char* name, const Tensor& logits,
                     const std::optional<std::int64_t>& vocab_size) {
  check_rows_tensor(name, logits);
  const std::int64_t columns = logits.size(-1);
  const std::int64_t vocab = vocab_size.value_or(columns);
  TORCH_CHECK(0 < vocab && vocab <= columns, "sp2dpo::Loss: vocab_size ", vocab,
              " must lie in [1, ", columns, "], the columns of ", name);
  return {.data = logits.data_ptr(),
          .dtype = dtype_of(logits),
          .rows = logits.numel() / columns,
          .vocab = vocab,
          .padded_vocab = columns,
          .layout = row_layout(logits)};
}

}  // namespace sp2dpo
