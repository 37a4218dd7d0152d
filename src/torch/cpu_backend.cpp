// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "backend.hpp"
#include "uninitialized.hpp"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/cpu/logits.hpp>
#include <sp2dpo/cpu/rows.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;

/// libtorch's threads, for the kernels.
struct ParallelFor {
  void operator()(std::int64_t n, std::int64_t grain, cpu::Task task) const {
    at::parallel_for(0, n, grain, task);
  }
};

#if TORCH_VERSION_MAJOR < 2
/// libtorch 1.13 sums products of 16-bit numbers in 16 bits, and slowly; except bfloat16 ones with
/// oneDNN, which it sums in float32.
bool is_good_at(DType dtype) {
  if (dtype != DType::float16 && dtype != DType::bfloat16) return true;
#ifdef __x86_64__
  static const bool has_onednn = at::hasMKLDNN() && __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl") &&
                                 __builtin_cpu_supports("avx512dq");
  return dtype == DType::bfloat16 && has_onednn && at::globalContext().userEnabledMkldnn();
#else
  return false;
#endif
}
#endif

/// libtorch's matrix product.
constexpr auto product = [](const cpu::MatrixProduct::Operand& a,
                            const cpu::MatrixProduct::Operand& b, const Matrix& out, bool add) {
  const auto type = [](DType dtype) {
    constexpr std::array types{at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};
    return types[static_cast<std::size_t>(dtype)];
  };
  const auto tensor = [&](const auto& matrix) {
    return at::from_blob(const_cast<void*>(static_cast<const void*>(matrix.data)),
                         {matrix.rows, matrix.columns}, {matrix.stride, 1},
                         at::TensorOptions(type(matrix.dtype)));
  };
  const auto operand = [&](const cpu::MatrixProduct::Operand& x) {
    const Tensor t = tensor(x.matrix);
    return x.transposed ? t.t() : t;
  };
  Tensor result = tensor(out);
#if TORCH_VERSION_MAJOR < 2
  if (!is_good_at(out.dtype)) {
    const Tensor whole = at::mm(operand(a).to(at::kFloat), operand(b).to(at::kFloat));
    result.copy_(add ? whole.add_(result) : whole);
    return;
  }
#endif
  if (add)
    at::addmm_out(result, result, operand(a), operand(b));
  else
    at::mm_out(result, operand(a), operand(b));
};

Tensor number(double value, at::ScalarType dtype) {
  const Tensor result = uninitialized({}, dtype);
  PairSink(result.data_ptr(), dtype_of(result)).set(0, value);
  return result;
}

/// Log-probabilities of sequences [2, P], float64, from those of their rows.
Tensor sums_over_rows(const LabelledPairs& pairs, const Tensor& row_log_prob, bool average) {
  const Tensor result = uninitialized({2, pairs.pairs()}, at::kDouble);
  const double* const row = row_log_prob.data_ptr<double>();
  for (const auto side : {PairRows::chosen, PairRows::rejected})
    for (std::int64_t i = 0; i < pairs.pairs(); ++i)
      row_of(result, side)[i] = sequence_log_prob(pairs.rows.select(i, side), row, average);
  return result;
}

/// The memory of a loss of sequences, and what is returned of it.
struct HostLoss {
  HostLoss(const SequenceCall& call_, std::int64_t rows, std::int64_t vocab_)
      : call(call_),
        vocab(vocab_),
        table(call.pairs.pairs(), at::kCPU),
        loss(call.loss(table.outputs)),
        policy(uninitialized({2, call.pairs.pairs()}, at::kDouble)),
        log_prob(at::zeros({rows}, at::kDouble)),
        logit_sum(call.options.mean_logits ? at::zeros({rows}, at::kDouble) : Tensor()),
        coefficient(at::zeros({rows}, at::kDouble)) {}

  [[nodiscard]] cpu::SequenceOutputs outputs(double* lse_others = nullptr) const {
    return {.rows = {.log_prob = data_of(log_prob),
                     .lse_others = lse_others,
                     .logit_sum = data_of(logit_sum)},
            .policy_chosen = row_of(policy, PairRows::chosen),
            .policy_rejected = row_of(policy, PairRows::rejected),
            .d_chosen = table.data(d_chosen_column),
            .d_rejected = table.data(d_rejected_column),
            .coefficient = data_of(coefficient)};
  }

  [[nodiscard]] LossAndRecord result(const LossSum& sum) const {
    const auto log_probs = [&](PairRows::Side side) {
      return policy.select(0, side).to(call.dtype);
    };
    detail::PairRecord record = record_of(
        table.columns,
        {log_probs(PairRows::chosen), log_probs(PairRows::rejected), loss.average_log_prob},
        call.controls, call.dtype);
    record.counted = call.pairs.counted;
    if (call.options.nll_coefficient > 0)
      record.nll = at::scalar_tensor(sum.nll / nll_tokens(call.pairs, call.options), at::kDouble);
    if (logit_sum.defined())
      record.logits_mean = {mean_logit(PairRows::chosen), mean_logit(PairRows::rejected)};
    return {reduced(call.options, table.columns, number(sum.total(loss), call.dtype)),
            std::move(record)};
  }

  /// The mean of the logits over the side's own rows in the pairs that count.
  [[nodiscard]] double mean_logit(PairRows::Side side) const {
    double sum = 0;
    std::int64_t tokens = 0;
    for (std::int64_t i = 0; i < call.pairs.pairs(); ++i) {
      if (!counts(loss, i)) continue;
      const RowSelection rows = call.pairs.rows.select(i, side);
      sum += sequence_log_prob(rows, data_of(logit_sum), false);
      tokens += rows.count;
    }
    return sum / static_cast<double>(std::max<std::int64_t>(tokens, 1) * vocab);
  }

  const SequenceCall& call;
  std::int64_t vocab;
  PairTable table;
  SequenceLoss loss;
  Tensor policy;                            ///< float64 [2, P]
  Tensor log_prob, logit_sum, coefficient;  ///< float64 [R], by row number
};

class CpuBackend final : public Backend {
 public:
  [[nodiscard]] Tensor pair_loss(const AnyObjective& objective, const PairInputs& in,
                                 const PairOutputs& out, std::int64_t pairs,
                                 at::ScalarType dtype) const override {
    return number(out.gradient_scale * objective.pair_loss(in, out, 0, pairs), dtype);
  }

  void pair_curvature(const AnyObjective& objective, const PairInputs& in,
                      const PairDirection& direction, const PairOutputs& out,
                      std::int64_t pairs) const override {
    objective.pair_curvature(in, direction, out, 0, pairs);
  }

  /// Loops over the pairs: a batch has few of them, so that one libtorch operation costs more than
  /// the whole loop.
  [[nodiscard]] PairVariables scaled_gradients(const Tensor& columns, const Tensor& upstream,
                                               const PairVariables& variables,
                                               const PairNeeds& needs) const override {
    const PairValues scale(upstream.data_ptr(), dtype_of(upstream),
                           upstream.dim() == 0 ? 0 : upstream.stride(0));
    const std::int64_t pairs = columns.size(1);
    const double* slope = columns.data_ptr<double>() + first_gradient * pairs;
    PairVariables result;
    for (std::size_t i = 0; i < gradient_count; ++i, slope += pairs) {
      if (!*needs.all()[i]) continue;
      Tensor& gradient = *result.all()[i];
      gradient = uninitialized({pairs}, variables.all()[i]->scalar_type());
      const PairSink sink = sink_of(gradient);
      for (std::int64_t pair = 0; pair < pairs; ++pair) sink.set(pair, scale[pair] * slope[pair]);
    }
    return result;
  }

  void check_labels(const LogitRows& rows, const RowLabels& labels) const override {
    as_torch_errors([&] { cpu::check_rows(rows, labels, {0, rows.rows}); });
  }
  void row_log_probs(const LogitRows& rows, const RowLabels& labels,
                     const RowStatistics& out) const override {
    as_torch_errors([&] { cpu::row_log_probs(rows, labels, {0, rows.rows}, out, ParallelFor()); });
  }
  void row_gradient(const LogitRows& rows, const RowLabels& labels, const double* lse_others,
                    const double* coefficient, const GradientRows& out) const override {
    as_torch_errors([&] {
      cpu::row_gradient(rows, labels, {0, rows.rows}, lse_others, coefficient, out,
                        MaskedRows::zero, ParallelFor());
    });
  }
  void row_log_probs_and_gradient(const LogitRows& rows, const RowLabels& labels,
                                  const RowStatistics& out, const double* coefficient,
                                  const GradientRows& gradient) const override {
    as_torch_errors([&] {
      cpu::row_log_probs_and_gradient(rows, labels, {0, rows.rows}, out, coefficient, gradient,
                                      MaskedRows::zero, ParallelFor());
    });
  }

  [[nodiscard]] LogitsResult logits_loss(const LogitsJob& job,
                                         const SequenceCall& call) const override {
    const HostLoss host(call, job.logits.rows, job.logits.vocab);
    const Tensor lse_others = at::zeros({job.logits.rows}, at::kDouble);
    const LossSum sum = as_torch_errors([&] {
      return cpu::logits_loss(job, host.loss, nullptr, host.outputs(data_of(lse_others)),
                              ParallelFor());
    });
    return {host.result(sum), lse_others, host.coefficient};
  }

  [[nodiscard]] Tensor logits_log_probs(const LogitRows& rows, const LabelledPairs& pairs,
                                        bool average) const override {
    const Tensor log_prob = at::zeros({rows.rows}, at::kDouble);
    as_torch_errors([&] {
      cpu::row_log_probs(rows, pairs.row_labels(), pairs.rows.select(0, pairs.pairs()),
                         {.log_prob = data_of(log_prob)}, ParallelFor());
    });
    return sums_over_rows(pairs, log_prob, average);
  }

  [[nodiscard]] std::int64_t chunk_rows(const HiddenRows& rows,
                                        const std::optional<std::int64_t>& bytes,
                                        bool /*with_reference*/) const override {
    constexpr std::int64_t usual = std::int64_t{256} << 20;
    return cpu::hidden_chunk_rows(rows, bytes.value_or(usual));
  }

  [[nodiscard]] bool writes_wide_hidden() const override { return true; }
  [[nodiscard]] LossAndRecord hidden_loss(const HiddenRows& rows, const SequenceCall& call,
                                          std::int64_t chunk_rows,
                                          const ConstMatrix& /*reference*/) const override {
    const HostLoss host(call, rows.hidden.rows, rows.head.rows);
    const Tensor memory = chunk_memory(rows, call.pairs, chunk_rows);
    return host.result(as_torch_errors([&] {
      return cpu::hidden_loss(rows, host.loss, chunk_rows, memory.data_ptr(), host.outputs(),
                              product, ParallelFor());
    }));
  }

  [[nodiscard]] Tensor hidden_log_probs(const HiddenRows& rows, const LabelledPairs& pairs,
                                        bool average, std::int64_t chunk_rows) const override {
    const Tensor log_prob = at::zeros({rows.hidden.rows}, at::kDouble);
    const Tensor memory = chunk_memory(rows, pairs, chunk_rows);
    as_torch_errors([&] {
      cpu::hidden_log_probs(rows, pairs.rows, chunk_rows, memory.data_ptr(),
                            {.log_prob = data_of(log_prob)}, product, ParallelFor());
    });
    return sums_over_rows(pairs, log_prob, average);
  }

 private:
  static Tensor chunk_memory(const HiddenRows& rows, const LabelledPairs& pairs,
                             std::int64_t chunk_rows) {
    const std::size_t bytes = cpu::hidden_workspace(rows, pairs.rows, chunk_rows);
    return uninitialized({static_cast<std::int64_t>(bytes)}, at::kByte);
  }
};

const RegisterBackend register_cpu(c10::DeviceType::CPU, [](const at::Device&) {
  static const std::shared_ptr<const Backend> backend = std::make_shared<CpuBackend>();
  return backend;
});

}  // namespace
}  // namespace sp2dpo
