// SPDX-License-Identifier: Apache-2.0
#include "on_cuda.hpp"

#include <algorithm>
#include <map>

#include "dtypes.hpp"
#include "sequences.hpp"
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/cuda/rows.hpp>

namespace sp2dpo::on_cuda {
namespace {

/// Runs f(stream) on the device's current stream.
template <class F>
void run_on(const at::Device& device, const F& f) {
  const c10::cuda::CUDAGuard guard(device);
  as_torch_errors([&] { f(c10::cuda::getCurrentCUDAStream().stream()); });
}

/// Freed on the current stream's terms by the caching allocator, so it may go before the kernels
/// have run.
at::Tensor bytes_on(const at::Device& device, std::size_t bytes) {
  return at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(device).dtype(at::kByte));
}

/// Memory for a pass over all rows of `logits`.
struct PassMemory {
  PassMemory(const LogitRows& logits, const at::Device& device)
      : bytes(cuda::row_workspace(logits, logits.rows)),
        workspace(bytes_on(device, bytes)),
        memory{.workspace = bytes > 0 ? workspace.data_ptr() : nullptr, .workspace_bytes = bytes} {}
  PassMemory(const LogitRows& logits, const at::Tensor& bad_row)
      : PassMemory(logits, bad_row.device()) {
    memory.bad_row = reinterpret_cast<std::uint64_t*>(bad_row.data_ptr<std::int64_t>());
  }

  std::size_t bytes;
  at::Tensor workspace;
  cuda::RowMemory memory;
};

double* row_pointer(const at::Tensor& table, PairRows::Side side) {
  return table.data_ptr<double>() + side * table.stride(0);
}

cuda::SequenceSums sequence_sums(const at::Tensor& sums, const at::Tensor& rows) {
  auto* const counts = rows.data_ptr<std::int64_t>();
  return {row_pointer(sums, PairRows::chosen), row_pointer(sums, PairRows::rejected), counts,
          counts + rows.stride(0)};
}

/// The lists of the pairs' rows, by way of page-locked memory: a copy of any other would wait for
/// the stream.
struct DeviceLists {
  DeviceLists(const PairRows& pairs, const at::Device& device) {
    const auto& bounds = pairs.bounds();
    const auto& rows = pairs.rows();
    const at::Tensor on_host = at::empty({std::ssize(bounds) + std::ssize(rows)},
                                         at::TensorOptions(at::kLong).pinned_memory(true));
    std::ranges::copy(rows, std::ranges::copy(bounds, on_host.data_ptr<std::int64_t>()).out);
    memory = on_host.to(device, /*non_blocking=*/true);
    lists.bounds = memory.data_ptr<std::int64_t>();
    lists.rows = lists.bounds + bounds.size();
  }

  at::Tensor memory;
  cuda::PairRowLists lists;
};

/// Memory for chunks of so many rows.
struct HiddenMemory {
  HiddenMemory(const HiddenRows& rows, const PairRows& pairs, std::int64_t chunk_rows,
               bool with_reference, const at::Device& device)
      : workspace(
            bytes_on(device, cuda::hidden_workspace(rows, pairs, chunk_rows, with_reference))),
        memory{.workspace = workspace.data_ptr(),
               .workspace_bytes = static_cast<std::size_t>(workspace.numel())} {}

  at::Tensor workspace;
  cuda::RowMemory memory;
};

/// This thread's, for a device. Never taken down: at a process's end CUDA may go first.
cuda::MatrixProducts& products_on(const at::Device& device) {
  thread_local auto& all =
      *new std::map<c10::DeviceIndex, cuda::MatrixProducts>();  // NOLINT: meant to stay
  return all[device.index()];
}

}  // namespace

void pair_loss(const AnyObjective& objective, const PairInputs& in, const PairOutputs& out,
               std::int64_t pairs, const at::Tensor& total) {
  run_on(total.device(), [&](cuda::Stream stream) {
    const std::size_t bytes = cuda::pair_loss_workspace(pairs);
    const at::Tensor workspace = bytes_on(total.device(), bytes);
    cuda::pair_loss({.in = in,
                     .out = out,
                     .total = {total.data_ptr(), dtype_of(total)},
                     .pairs = pairs,
                     .workspace = bytes > 0 ? workspace.data_ptr() : nullptr,
                     .workspace_bytes = bytes},
                    objective, stream);
  });
}

void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowStatistics& out,
                   const at::Tensor& bad_row) {
  run_on(bad_row.device(), [&](cuda::Stream stream) {
    const PassMemory pass(logits, bad_row);
    cuda::row_log_probs(logits, labels, {0, logits.rows}, out, pass.memory, stream);
  });
}

void row_gradient(const LogitRows& logits, const RowLabels& labels, const double* lse_others,
                  const double* coefficient, const GradientRows& out, const at::Device& device) {
  run_on(device, [&](cuda::Stream stream) {
    const PassMemory pass(logits, device);
    cuda::row_gradient(logits, labels, {0, logits.rows}, lse_others, coefficient, out,
                       MaskedRows::zero, pass.memory, stream);
  });
}

void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowStatistics& out, const double* coefficient,
                                const GradientRows& gradient, const at::Tensor& bad_row) {
  run_on(bad_row.device(), [&](cuda::Stream stream) {
    const PassMemory pass(logits, bad_row);
    cuda::row_log_probs_and_gradient(logits, labels, {0, logits.rows}, out, coefficient, gradient,
                                     MaskedRows::zero, pass.memory, stream);
  });
}

void hidden_loss(const HiddenRows& rows, const SequenceLoss& loss, std::int64_t chunk_rows,
                 const at::Tensor& sums, const at::Tensor& counts, const at::Tensor& d_chosen,
                 const at::Tensor& d_rejected, const at::Tensor& bad_row,
                 const ConstMatrix& reference, bool empty_allowed) {
  run_on(sums.device(), [&](cuda::Stream stream) {
    DeviceLists on_device(loss.rows, sums.device());
    on_device.lists.empty_allowed = empty_allowed;
    const HiddenMemory space(rows, loss.rows, chunk_rows, reference.data != nullptr, sums.device());
    cuda::RowMemory memory = space.memory;
    memory.bad_row = reinterpret_cast<std::uint64_t*>(bad_row.data_ptr<std::int64_t>());
    cuda::hidden_loss(
        rows, loss, on_device.lists, chunk_rows,
        {sequence_sums(sums, counts), d_chosen.data_ptr<double>(), d_rejected.data_ptr<double>()},
        memory, products_on(sums.device()), stream, reference);
  });
}

void hidden_log_probs(const HiddenRows& rows, const PairRows& pairs, bool average,
                      std::int64_t chunk_rows, const at::Tensor& sums, const at::Tensor& counts) {
  run_on(sums.device(), [&](cuda::Stream stream) {
    const DeviceLists lists(pairs, sums.device());
    const HiddenMemory space(rows, pairs, chunk_rows, false, sums.device());
    cuda::hidden_log_probs(rows, pairs, lists.lists, average, chunk_rows,
                           sequence_sums(sums, counts), space.memory, products_on(sums.device()),
                           stream);
  });
}

std::int64_t hidden_chunk_rows(const HiddenRows& rows, std::int64_t bytes, bool with_reference,
                               const at::Device&) {
  return cuda::hidden_chunk_rows(rows, bytes, with_reference);
}

void sequence_log_probs(const Sequences& sequences, const RowLabels& labels,
                        const at::Tensor& row_log_prob, bool average, bool empty_allowed,
                        const at::Tensor& sums, const at::Tensor& rows) {
  run_on(sums.device(), [&](cuda::Stream stream) {
    cuda::sequence_log_probs({sequences, labels, average}, row_log_prob.data_ptr<double>(),
                             empty_allowed, sequence_sums(sums, rows), stream);
  });
}

void row_coefficients(const Sequences& sequences, const RowLabels& labels, bool average,
                      const at::Tensor& sums, const at::Tensor& rows, const PairValues& d_chosen,
                      const PairValues& d_rejected, double nll_scale,
                      const at::Tensor& coefficient) {
  run_on(sums.device(), [&](cuda::Stream stream) {
    cuda::row_coefficients({sequences, labels, average}, sequence_sums(sums, rows), d_chosen,
                           d_rejected, 1.0, nll_scale, coefficient.data_ptr<double>(), stream);
  });
}

}  // namespace sp2dpo::on_cuda
