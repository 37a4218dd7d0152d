// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <mutex>

#include "backend.hpp"
#include "upload.hpp"
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <sp2dpo/cuda/hidden.hpp>
#include <sp2dpo/cuda/logits.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/cuda/rows.hpp>

/// The calls of sp2dpo::cuda on a tensor's device and its current stream, with memory from
/// libtorch's allocator.
namespace sp2dpo {
namespace {

using at::Tensor;

/// Workspace on a device. The caching allocator frees it in the current stream's order, so it may
/// go before the kernels have run.
struct DeviceMemory {
  DeviceMemory(const at::Device& device, std::size_t bytes, const Tensor& bad_row = {})
      : workspace(at::empty({static_cast<std::int64_t>(bytes)},
                            at::TensorOptions(device).dtype(at::kByte))),
        memory{.workspace = bytes > 0 ? workspace.data_ptr() : nullptr, .workspace_bytes = bytes} {
    if (bad_row.defined())
      memory.bad_row = reinterpret_cast<std::uint64_t*>(bad_row.data_ptr<std::int64_t>());
  }

  Tensor workspace;
  cuda::RowMemory memory;
};

/// Throws c10::Error if the current stream is being captured. The graph would copy from host memory
/// that is gone when it is replayed.
void check_not_captured() {
  TORCH_CHECK(
      c10::cuda::currentStreamCaptureStatusMayInitCtx() == c10::cuda::CaptureStatus::None,
      "sp2dpo::Loss: a call that copies lists or labels from the CPU cannot be captured in a "
      "CUDA graph: a replay would read the memory that this call copies from. Losses from "
      "logits with labels on the device, without cu_seqlens and lists, can");
}

/// Page-locked memory on the host, from which a copy to a device does not wait for the stream.
/// libtorch keeps it until the copy is done.
Tensor staging(at::IntArrayRef sizes, at::ScalarType dtype) {
  check_not_captured();
  return at::empty(sizes, at::TensorOptions(dtype).pinned_memory(true));
}

/// The lists of the pairs' rows.
struct DeviceLists {
  DeviceLists(const PairRows& pairs, const at::Device& device, bool empty_allowed) {
    const auto& bounds = pairs.bounds();
    const auto& rows = pairs.rows();
    const Tensor on_host = staging({std::ssize(bounds) + std::ssize(rows)}, at::kLong);
    std::ranges::copy(rows, std::ranges::copy(bounds, on_host.data_ptr<std::int64_t>()).out);
    memory = on_host.to(device, /*non_blocking=*/true);
    lists.bounds = memory.data_ptr<std::int64_t>();
    lists.rows = lists.bounds + bounds.size();
    lists.empty_allowed = empty_allowed;
  }

  Tensor memory;
  cuda::PairRowLists lists;
};

/// The log-probabilities of sequences, float64 [2, P], and their row counts, int64 [2, P].
struct SumTensors {
  SumTensors(std::int64_t pairs, const at::Device& device)
      : log_probs(at::empty({2, pairs}, at::TensorOptions(device).dtype(at::kDouble))),
        row_counts(at::empty({2, pairs}, at::TensorOptions(device).dtype(at::kLong))) {}

  [[nodiscard]] cuda::SequenceSums pointers() const {
    auto* const counts = row_counts.data_ptr<std::int64_t>();
    return {row_of(log_probs, PairRows::chosen), row_of(log_probs, PairRows::rejected), counts,
            counts + row_counts.stride(0)};
  }

  Tensor log_probs;  ///< NaN for an empty sequence where none is allowed
  Tensor row_counts;
};

/// The matrix products of a device, and the lock of the thread that uses them. One for each device
/// rather than for each thread, since pools and DataParallel make threads anew.
struct DeviceProducts {
  std::mutex mutex;
  cuda::MatrixProducts products;
};

/// Returns those of the current device. Never destroyed: at a process's end CUDA may go first.
DeviceProducts& products_on(const at::Device& device) {
  static std::mutex mutex;
  static auto& all = *new std::map<c10::DeviceIndex, DeviceProducts>();  // NOLINT: meant to stay
  const std::lock_guard lock(mutex);
  return all[device.index()];
}

void check_options(const SequenceCall& call) {
  const LossOptions& options = call.options;
  TORCH_CHECK(!options.mean_logits,
              "sp2dpo::Loss: mean_logits is available for tensors on the CPU only");
  if (call.pairs.labels.is_cpu()) return;
  TORCH_CHECK(options.empty_rows != EmptyRows::skip,
              "sp2dpo::Loss: empty_rows skip needs labels on the CPU: without waiting for the "
              "device, the host cannot know which sequences are empty, and the mean divides by "
              "the number of the others");
  TORCH_CHECK(options.nll_coefficient == 0 || options.nll_normalizer,
              "sp2dpo::Loss: with labels on a device, nll_coefficient needs nll_normalizer: "
              "without waiting for the device, the host cannot know the number of tokens");
}

/// The tensors of a loss of sequences, and what is returned of it.
struct DeviceLoss {
  DeviceLoss(const SequenceCall& call_, const at::Device& device)
      : call(call_),
        table(call.pairs.pairs(), device),
        loss(call.loss(table.outputs)),
        sums(call.pairs.pairs(), device),
        bad_row(at::full({}, -1, sums.row_counts.options())) {}

  /// `total` is the sum over the pairs, float64.
  [[nodiscard]] LossAndRecord result(Tensor total) const {
    const auto log_probs = [&](PairRows::Side side) {
      return sums.log_probs.select(0, side).to(call.dtype);
    };
    detail::PairRecord record = record_of(
        table.columns,
        {log_probs(PairRows::chosen), log_probs(PairRows::rejected), loss.average_log_prob},
        call.controls, call.dtype);
    record.bad_row = bad_row;
    record.counted = call.pairs.counted;
    if (loss.nll_scale > 0) {
      Tensor chosen = sums.log_probs[PairRows::chosen];
      if (loss.average_log_prob) chosen = chosen * sums.row_counts[PairRows::chosen];
      if (call.pairs.counted.defined())
        chosen = at::where(uploaded(call.pairs.counted, chosen.device()), chosen,
                           at::zeros_like(chosen));
      const Tensor nll = chosen.sum().neg();
      total = total + loss.nll_scale * nll;
      record.nll = nll / nll_tokens(call.pairs, call.options);
    }
    return {reduced(call.options, table.columns, total.to(call.dtype)), std::move(record)};
  }

  const SequenceCall& call;
  PairTable table;
  SequenceLoss loss;
  SumTensors sums;
  Tensor bad_row;  ///< int64: the first row with a bad label, or −1
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const at::Device& device) : device_(device) {}

  [[nodiscard]] Tensor upload(const Tensor& tensor) const override {
    const Tensor on_host = staging(tensor.sizes(), tensor.scalar_type());
    on_host.copy_(tensor);
    return on_host.to(device_, /*non_blocking=*/true);
  }

  [[nodiscard]] Tensor pair_loss(const AnyObjective& objective, const PairInputs& in,
                                 const PairOutputs& out, std::int64_t pairs,
                                 at::ScalarType dtype) const override {
    Tensor total = at::empty({}, at::TensorOptions(device_).dtype(dtype));
    run([&](cuda::Stream stream) {
      const DeviceMemory space(device_, cuda::pair_loss_workspace(pairs));
      cuda::pair_loss({.in = in,
                       .out = out,
                       .total = {total.data_ptr(), dtype_of(total)},
                       .pairs = pairs,
                       .workspace = space.memory.workspace,
                       .workspace_bytes = space.memory.workspace_bytes},
                      objective, stream);
    });
    return total;
  }

  void row_log_probs(const LogitRows& rows, const RowLabels& labels,
                     const RowStatistics& out) const override {
    run([&](cuda::Stream stream) {
      cuda::row_log_probs(rows, labels, {0, rows.rows}, out, row_memory(rows).memory, stream);
    });
  }
  void row_gradient(const LogitRows& rows, const RowLabels& labels, const double* lse_others,
                    const double* coefficient, const GradientRows& out) const override {
    run([&](cuda::Stream stream) {
      cuda::row_gradient(rows, labels, {0, rows.rows}, lse_others, coefficient, out,
                         MaskedRows::zero, row_memory(rows).memory, stream);
    });
  }
  void row_log_probs_and_gradient(const LogitRows& rows, const RowLabels& labels,
                                  const RowStatistics& out, const double* coefficient,
                                  const GradientRows& gradient) const override {
    run([&](cuda::Stream stream) {
      cuda::row_log_probs_and_gradient(rows, labels, {0, rows.rows}, out, coefficient, gradient,
                                       MaskedRows::zero, row_memory(rows).memory, stream);
    });
  }

  [[nodiscard]] LogitsResult logits_loss(const LogitsJob& job,
                                         const SequenceCall& call) const override {
    check_options(call);
    const DeviceLoss device(call, device_);
    const Tensor log_prob = float64({job.logits.rows}), lse_others = at::empty_like(log_prob),
                 coefficient = at::empty_like(log_prob), total = float64({});
    run([&](cuda::Stream stream) {
      const DeviceMemory space(device_, cuda::logits_workspace(job.logits, call.pairs.rows),
                               device.bad_row);
      cuda::logits_loss(job, device.loss,
                        {.sequences = call.pairs.layout.sequences,
                         .empty_allowed = call.options.empty_rows == EmptyRows::keep},
                        {.rows = {.log_prob = data_of(log_prob), .lse_others = data_of(lse_others)},
                         .sums = device.sums.pointers(),
                         .d_chosen = device.table.data(d_chosen_column),
                         .d_rejected = device.table.data(d_rejected_column),
                         .coefficient = data_of(coefficient),
                         .total = {total.data_ptr(), DType::float64}},
                        space.memory, stream);
    });
    return {device.result(total), lse_others, coefficient};
  }

  /// Labels out of range are reported by the policy's pass.
  [[nodiscard]] Tensor logits_log_probs(const LogitRows& rows, const LabelledPairs& pairs,
                                        bool average) const override {
    const Tensor log_prob = float64({rows.rows});
    const SumTensors sums(pairs.pairs(), device_);
    run([&](cuda::Stream stream) {
      cuda::row_log_probs(rows, pairs.row_labels(), {0, rows.rows}, {.log_prob = data_of(log_prob)},
                          row_memory(rows).memory, stream);
      cuda::sequence_log_probs({pairs.layout.sequences, pairs.row_labels(), average},
                               data_of(log_prob), /*empty_allowed=*/true, sums.pointers(), stream);
    });
    return sums.log_probs;
  }

  [[nodiscard]] std::int64_t chunk_rows(const HiddenRows& rows,
                                        const std::optional<std::int64_t>& bytes,
                                        bool with_reference) const override {
    constexpr std::int64_t usual = std::int64_t{1} << 30;
    return cuda::hidden_chunk_rows(rows, bytes.value_or(usual), with_reference);
  }
  [[nodiscard]] bool takes_reference() const override { return true; }

  [[nodiscard]] LossAndRecord hidden_loss(const HiddenRows& rows, const SequenceCall& call,
                                          std::int64_t chunk_rows,
                                          const ConstMatrix& reference) const override {
    check_options(call);
    const DeviceLoss device(call, device_);
    run([&](cuda::Stream stream) {
      const DeviceLists lists(call.pairs.rows, device_,
                              call.options.empty_rows != EmptyRows::error);
      const cuda::HiddenJob job{
          .rows = rows, .lists = lists.lists, .chunk_rows = chunk_rows, .reference = reference};
      const DeviceMemory space(device_, cuda::hidden_workspace(job, device.loss), device.bad_row);
      DeviceProducts& own = products_on(device_);
      const std::lock_guard lock(own.mutex);
      cuda::hidden_loss(job, device.loss,
                        {device.sums.pointers(), device.table.data(d_chosen_column),
                         device.table.data(d_rejected_column)},
                        space.memory, own.products, stream);
    });
    return device.result(device.loss.outputs.gradient_scale *
                         device.table.columns.select(0, loss_column).sum());
  }

  [[nodiscard]] Tensor hidden_log_probs(const HiddenRows& rows, const LabelledPairs& pairs,
                                        bool average, std::int64_t chunk_rows) const override {
    const SumTensors sums(pairs.pairs(), device_);
    run([&](cuda::Stream stream) {
      const DeviceLists lists(pairs.rows, device_, /*empty_allowed=*/true);
      const cuda::HiddenJob job{.rows = rows, .lists = lists.lists, .chunk_rows = chunk_rows};
      const DeviceMemory space(device_, cuda::hidden_workspace(job, pairs.rows));
      DeviceProducts& own = products_on(device_);
      const std::lock_guard lock(own.mutex);
      cuda::hidden_log_probs(job, pairs.rows, average, sums.pointers(), space.memory, own.products,
                             stream);
    });
    return sums.log_probs;
  }

 private:
  /// Runs f(stream) on the device's current stream.
  template <class F>
  void run(const F& f) const {
    const c10::cuda::CUDAGuard guard(device_);
    as_torch_errors([&] { f(c10::cuda::getCurrentCUDAStream().stream()); });
  }
  [[nodiscard]] Tensor float64(at::IntArrayRef sizes) const {
    return at::empty(sizes, at::TensorOptions(device_).dtype(at::kDouble));
  }
  [[nodiscard]] DeviceMemory row_memory(const LogitRows& rows) const {
    return {device_, cuda::row_workspace(rows, rows.rows)};
  }

  const at::Device device_;
};

const RegisterBackend register_cuda(c10::DeviceType::CUDA,
                                    [](const at::Device& device) -> std::shared_ptr<const Backend> {
                                      return std::make_shared<CudaBackend>(device);
                                    });

}  // namespace
}  // namespace sp2dpo
