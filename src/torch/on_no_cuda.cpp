// SPDX-License-Identifier: Apache-2.0
#include "on_cuda.hpp"
#include <c10/util/Exception.h>

namespace sp2dpo::on_cuda {
namespace {

[[noreturn]] void refuse(const at::Device& device) {
  TORCH_CHECK(false, "sp2dpo::Loss: the tensors are on ", device,
              ", but this build of sp2dpo::torch has no CUDA kernels; build it with nvcc and a "
              "libtorch with CUDA");
}

}  // namespace

void pair_loss(const AnyObjective&, const PairInputs&, const PairOutputs&, std::int64_t,
               const at::Tensor& total) {
  refuse(total.device());
}

void row_log_probs(const LogitRows&, const RowLabels&, const RowStatistics&,
                   const at::Tensor& bad_row) {
  refuse(bad_row.device());
}

void row_gradient(const LogitRows&, const RowLabels&, const double*, const double*,
                  const GradientRows&, const at::Device& device) {
  refuse(device);
}

void row_log_probs_and_gradient(const LogitRows&, const RowLabels&, const RowStatistics&,
                                const double*, const GradientRows&, const at::Tensor& bad_row) {
  refuse(bad_row.device());
}

void hidden_loss(const HiddenRows&, const SequenceLoss&, std::int64_t, const at::Tensor& sums,
                 const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                 const ConstMatrix&, bool) {
  refuse(sums.device());
}

void hidden_log_probs(const HiddenRows&, const PairRows&, bool, std::int64_t,
                      const at::Tensor& sums, const at::Tensor&) {
  refuse(sums.device());
}

std::int64_t hidden_chunk_rows(const HiddenRows&, std::int64_t, bool, const at::Device& device) {
  refuse(device);
}

void sequence_log_probs(const Sequences&, const RowLabels&, const at::Tensor& row_log_prob, bool,
                        bool, const at::Tensor&, const at::Tensor&) {
  refuse(row_log_prob.device());
}

void row_coefficients(const Sequences&, const RowLabels&, bool, const at::Tensor& sums,
                      const at::Tensor&, const PairValues&, const PairValues&, double,
                      const at::Tensor&) {
  refuse(sums.device());
}

}  // namespace sp2dpo::on_cuda
