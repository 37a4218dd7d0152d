// SPDX-License-Identifier: Apache-2.0
// Prints a hash of the losses and gradients of core and sp2dpo::cpu, one line a case. The source
// compiles against 9368ac7 too, whose headers lay at the top of include/sp2dpo.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#if __has_include(<sp2dpo/loss/any_objective.hpp>)
#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>
#include <sp2dpo/loss/pair_rows.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>
#else
#include <sp2dpo/any_objective.hpp>
#include <sp2dpo/objectives.hpp>
#include <sp2dpo/pair_rows.hpp>
#include <sp2dpo/sequence_loss.hpp>
#endif

#include "hash.hpp"

#include <sp2dpo/cpu/hidden.hpp>
#include <sp2dpo/cpu/rows.hpp>
#if __has_include(<sp2dpo/cpu/logits.hpp>)
#include <sp2dpo/cpu/logits.hpp>
#define SP2DPO_HAS_LOGITS_LOSS 1
#else
#define SP2DPO_HAS_LOGITS_LOSS 0
#endif

namespace {

using namespace sp2dpo;

#if SP2DPO_HAS_LOGITS_LOSS
using Outputs = cpu::SequenceOutputs;
#else
using Outputs = cpu::HiddenOutputs;
#endif

constexpr DType dtypes[] = {DType::float16, DType::bfloat16, DType::float32, DType::float64};

/// Numbers stored in an element type of choice.
struct Numbers {
  DType dtype;
  std::vector<unsigned char> bytes;

  Numbers(DType type, std::size_t n) : dtype(type), bytes(n * size_of(type)) {}
  Numbers(DType type, std::size_t n, Random& random, double low, double high) : Numbers(type, n) {
    for (std::size_t i = 0; i < n; ++i)
      detail::store(bytes.data(), dtype, static_cast<std::int64_t>(i), random.uniform(low, high));
  }
  [[nodiscard]] PairValues values() const { return {bytes.data(), dtype}; }
  [[nodiscard]] PairSink sink() { return {bytes.data(), dtype}; }
};

/// An executor that cuts the work into uneven parts.
struct Parts {
  void operator()(std::int64_t n, std::int64_t, cpu::Task task) const {
    for (std::int64_t begin = 0, step = 1; begin < n; begin += step++)
      task(begin, std::min(n, begin + step));
  }
};
constexpr Parts parts;

void pair_case(const std::string& name, const AnyObjective& objective, DType dtype) {
  constexpr std::int64_t n = 257;
  Random random(1);
  const Numbers pc(dtype, n, random, -40, 0), pr(dtype, n, random, -40, 0);
  const Numbers rc(dtype, n, random, -40, 0), rr(dtype, n, random, -40, 0);
  const Numbers beta(dtype, n, random, 0.03, 0.3), margin(dtype, n, random, -1, 1);
  const Numbers weight(dtype, n, random, 0, 2);
  PairInputs in{pc.values(),   pr.values(),     rc.values(),    rr.values(),
                beta.values(), margin.values(), weight.values()};
  if (!objective.takes_margin()) in.margin = 0.0;
  std::vector<Numbers> outputs(8, Numbers(dtype, n));
  PairOutputs out{outputs[0].sink(), outputs[1].sink(), outputs[2].sink(), outputs[3].sink(),
                  outputs[4].sink(), outputs[5].sink(), outputs[6].sink(), outputs[7].sink()};
  out.gradient_scale = 1.0 / n;
  Hash hash;
  hash.add_number(objective.pair_loss(in, out, 0, n));
  for (const auto& output : outputs) hash.add_all(output.bytes);
  if (objective.twice_differentiable()) {
    const PairDirection direction{beta.values(), margin.values(), pc.values(), weight.values()};
    hash.add_number(objective.pair_curvature(in, direction, out, 0, n));
    for (const auto& output : outputs) hash.add_all(output.bytes);
  }
  hash.print(name + " " + name_of(dtype));
}

enum class Order { halves, interleaved, listed, packed };
constexpr const char* order_names[] = {"halves", "interleaved", "listed", "packed"};
enum class Mask { none, prompts, half, whole_answers };
constexpr const char* mask_names[] = {"no mask", "prompts", "every second", "whole answers"};

/// Six pairs of sequences, their labels and which of them belong together.
struct Batch {
  static constexpr std::int64_t pairs = 6, length = 5;
  std::int64_t rows = 2 * pairs * length;
  std::vector<std::int64_t> bounds{}, chosen{}, rejected{}, labels{};
  Sequences sequences{};

  Batch(Order order, Mask mask, std::int64_t vocab) {
    Random random(7);
    if (order == Order::packed) {
      bounds.push_back(0);
      for (std::int64_t s = 0; s < 2 * pairs; ++s) bounds.push_back(bounds.back() + 1 + s % 7);
      rows = bounds.back();
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t place = row % length;
      const bool masked = (mask == Mask::prompts && place < 2) ||
                          (mask == Mask::half && row % 2 == 0) ||
                          (mask == Mask::whole_answers && row / length % 4 == 1);
      const std::int64_t label = random.below(vocab);
      labels.push_back(masked ? -100 : label);
    }
    sequences = {.count = 2 * pairs, .length = length};
    if (order == Order::interleaved) sequences.layout = Sequences::Layout::interleaved;
    if (order == Order::packed) sequences.cu_seqlens = bounds.data();
    if (order == Order::listed) {
      for (std::int64_t i = 0; i < pairs; ++i) {
        chosen.push_back((5 * i + 3) % (2 * pairs));
        rejected.push_back((5 * i + 9) % (2 * pairs));
      }
      sequences.layout = Sequences::Layout::listed;
      sequences.chosen = chosen.data();
      sequences.rejected = rejected.data();
      sequences.pairs = pairs;
    }
  }
};

struct Way {
  Order order = Order::halves;
  Mask mask = Mask::prompts;
  bool average = false;
  double nll = 0;
  std::int64_t padding = 0;  // columns beyond the vocabulary, and between rows
};

std::string text_of(const Way& way, DType dtype) {
  return std::string(order_names[static_cast<int>(way.order)]) + ", " +
         mask_names[static_cast<int>(way.mask)] + (way.average ? ", averaged" : "") +
         (way.nll > 0 ? ", nll" : "") + (way.padding > 0 ? ", padded" : "") + ", " + name_of(dtype);
}

/// Memory that a loss of sequences writes to, and its hash.
struct SequenceMemory {
  Numbers reference_chosen, reference_rejected, beta, margin, weight;
  std::vector<double> losses, d_chosen, d_rejected, d_beta, chosen, rejected;
  std::vector<double> log_prob, lse_others, logit_sum, coefficient;

  SequenceMemory(std::size_t pairs, std::size_t rows, Random random = Random(3))
      : reference_chosen(DType::float64, pairs, random, -30, 0),
        reference_rejected(DType::float64, pairs, random, -30, 0),
        beta(DType::float32, pairs, random, 0.03, 0.3),
        margin(DType::float64, pairs, random, -1, 1),
        weight(DType::float64, pairs, random, 0, 2) {
    for (auto* by_pair : {&losses, &d_chosen, &d_rejected, &d_beta, &chosen, &rejected})
      by_pair->resize(pairs);
    for (auto* by_row : {&log_prob, &lse_others, &logit_sum, &coefficient}) by_row->resize(rows);
  }

  void connect(SequenceLoss& loss, const Way& way) {
    loss.inputs.reference_chosen = reference_chosen.values();
    loss.inputs.reference_rejected = reference_rejected.values();
    loss.inputs.beta = beta.values();
    if (loss.objective.takes_margin()) loss.inputs.margin = margin.values();
    loss.inputs.weight = weight.values();
    loss.outputs.loss = {losses.data(), DType::float64};
    loss.outputs.d_policy_chosen = {d_chosen.data(), DType::float64};
    loss.outputs.d_policy_rejected = {d_rejected.data(), DType::float64};
    loss.outputs.d_beta = {d_beta.data(), DType::float64};
    loss.outputs.gradient_scale = 1.0 / static_cast<double>(losses.size());
    loss.average_log_prob = way.average;
    loss.skip_incomplete = true;
    loss.nll_scale = way.nll;
  }

  [[nodiscard]] RowStatistics statistics() {
    return {log_prob.data(), lse_others.data(), logit_sum.data()};
  }

  void add_to(Hash& hash) const {
    for (const auto* numbers : {&losses, &d_chosen, &d_rejected, &d_beta, &chosen, &rejected,
                                &log_prob, &lse_others, &logit_sum, &coefficient})
      hash.add_all(*numbers);
  }
};

/// The loss of logits and its gradient from the passes over rows.
double loss_by_rows(const LogitRows& logits, const RowLabels& labels, const SequenceLoss& loss,
                    SequenceMemory& memory, const GradientRows& gradient) {
  const RowSelection all{0, logits.rows};
  cpu::row_log_probs(logits, labels, all, memory.statistics(), parts);
  LossSum sum;
  sequence_step(loss, 0, Batch::pairs, memory.log_prob.data(), memory.chosen.data(),
                memory.rejected.data(), sum);
  row_coefficients(loss, 0, Batch::pairs, {memory.d_chosen.data(), DType::float64},
                   {memory.d_rejected.data(), DType::float64}, 1.0, memory.coefficient.data());
  cpu::row_gradient(logits, labels, all, memory.lse_others.data(), memory.coefficient.data(),
                    gradient, MaskedRows::zero, parts);
  return sum.total(loss);
}

/// The same from cpu::logits_loss, in a revision that has it.
double whole_loss(const LogitRows& logits, const RowLabels& labels, const SequenceLoss& loss,
                  SequenceMemory& memory, const GradientRows& gradient) {
#if SP2DPO_HAS_LOGITS_LOSS
  const Outputs outputs{memory.statistics(),      memory.chosen.data(),
                        memory.rejected.data(),   memory.d_chosen.data(),
                        memory.d_rejected.data(), memory.coefficient.data()};
  return cpu::logits_loss({logits, labels, gradient}, loss, nullptr, outputs, parts).total(loss);
#else
  return loss_by_rows(logits, labels, loss, memory, gradient);
#endif
}

void logits_case(const std::string& name, const AnyObjective& objective, const Way& way,
                 DType dtype, std::int64_t vocab) {
  const Batch batch(way.order, way.mask, vocab);
  const RowLabels labels{batch.labels.data()};
  const PairRows rows(batch.sequences, labels, batch.rows);
  const std::int64_t width = vocab + way.padding, stride = width + way.padding;
  Random random(5);
  const Numbers logits(dtype, static_cast<std::size_t>(batch.rows * stride), random, -8, 8);
  const LogitRows logit_rows{logits.bytes.data(), dtype, batch.rows, vocab, width,
                             {.stride = stride}};
  Hash hash;
  for (const auto& compute : {loss_by_rows, whole_loss}) {
    SequenceMemory memory(Batch::pairs, static_cast<std::size_t>(batch.rows));
    SequenceLoss loss{.rows = rows, .objective = objective};
    memory.connect(loss, way);
    Numbers gradient(dtype, logits.bytes.size() / size_of(dtype));
    const GradientRows gradient_rows{gradient.bytes.data(), logit_rows.layout};
    hash.add_number(compute(logit_rows, labels, loss, memory, gradient_rows));
    memory.add_to(hash);
    hash.add_all(gradient.bytes);

    cpu::row_log_probs_and_gradient(logit_rows, labels, {0, batch.rows}, memory.statistics(),
                                    memory.coefficient.data(), gradient_rows);
    memory.add_to(hash);
    hash.add_all(gradient.bytes);
  }
  hash.print("logits, " + name + ", " + text_of(way, dtype) + ", V " + std::to_string(vocab));
}

/// out = op(a) · op(b) or out += op(a) · op(b), summed in double in the order of the index.
struct Product {
  using Operand = cpu::MatrixProduct::Operand;

  void operator()(const Operand& a, const Operand& b, const Matrix& out, bool add) const {
    const std::int64_t inner = a.transposed ? a.matrix.rows : a.matrix.columns;
    for (std::int64_t i = 0; i < out.rows; ++i) {
      for (std::int64_t j = 0; j < out.columns; ++j) {
        const std::int64_t place = i * out.stride + j;
        double sum = add ? detail::load(out.data, out.dtype, place) : 0;
        for (std::int64_t k = 0; k < inner; ++k) sum += at(a, i, k) * at(b, k, j);
        detail::store(out.data, out.dtype, place, sum);
      }
    }
  }

 private:
  static double at(const Operand& m, std::int64_t i, std::int64_t j) {
    if (m.transposed) std::swap(i, j);
    return detail::load(m.matrix.data, m.matrix.dtype, i * m.matrix.stride + j);
  }
};
constexpr Product product;

void hidden_case(const std::string& name, const AnyObjective& objective, const Way& way,
                 DType dtype, std::int64_t chunk_rows, bool bias) {
  constexpr std::int64_t vocab = 37, width = 16;
  const Batch batch(way.order, way.mask, vocab);
  const RowLabels labels{batch.labels.data()};
  const PairRows rows(batch.sequences, labels, batch.rows);
  Random random(9);
  const Numbers hidden(dtype, static_cast<std::size_t>(batch.rows * width), random, -1, 1);
  const Numbers head(dtype, static_cast<std::size_t>(vocab * width), random, -1, 1);
  const Numbers head_bias(dtype, static_cast<std::size_t>(vocab), random, -1, 1);
  const DType sums = dtype == DType::float64 ? DType::float64 : DType::float32;
  Numbers d_hidden(dtype, static_cast<std::size_t>(batch.rows * width));
  Numbers d_head(sums, static_cast<std::size_t>(vocab * width));
  Numbers d_bias(sums, static_cast<std::size_t>(vocab));
  HiddenRows job{.hidden = {hidden.bytes.data(), dtype, batch.rows, width, width},
                 .head = {head.bytes.data(), dtype, vocab, width, width},
                 .bias = bias ? head_bias.bytes.data() : nullptr,
                 .labels = labels,
                 .d_hidden = {d_hidden.bytes.data(), dtype, batch.rows, width, width},
                 .d_head = {d_head.bytes.data(), sums, vocab, width, width}};
  if (bias) job.d_bias = {d_bias.bytes.data(), sums, 1, vocab, vocab};

  SequenceMemory memory(Batch::pairs, static_cast<std::size_t>(batch.rows));
  SequenceLoss loss{.rows = rows, .objective = objective};
  memory.connect(loss, way);
  std::vector<unsigned char> workspace(cpu::hidden_workspace(job, rows, chunk_rows) + 64);
  unsigned char* const aligned =
      workspace.data() + (64 - reinterpret_cast<std::uintptr_t>(workspace.data()) % 64) % 64;
  const Outputs outputs{memory.statistics(),      memory.chosen.data(),
                        memory.rejected.data(),   memory.d_chosen.data(),
                        memory.d_rejected.data(), memory.coefficient.data()};
  const LossSum sum = cpu::hidden_loss(job, loss, chunk_rows, aligned, outputs, product, parts);
  Hash hash;
  hash.add_number(sum.total(loss));
  memory.add_to(hash);
  hash.add_all(d_hidden.bytes);
  hash.add_all(d_head.bytes);
  hash.add_all(d_bias.bytes);
  cpu::hidden_log_probs(job, rows, chunk_rows, aligned, memory.statistics(), product);
  memory.add_to(hash);
  hash.print("hidden, " + name + ", " + text_of(way, dtype) + ", chunks of " +
             std::to_string(chunk_rows) + (bias ? ", bias" : ""));
}

void every_case_of(const AnyObjective& objective, const std::string& name) {
  for (const DType dtype : dtypes) {
    pair_case("pairs, " + name + ",", objective, dtype);
    const Way way{.average = objective.averages_log_probs()};
    logits_case(name, objective, way, dtype, 131);
    hidden_case(name, objective, way, dtype, 24, true);
  }
}

template <class... Objectives>
void every_objective(ObjectiveList<Objectives...>) {
  (every_case_of(Objectives{}, Objectives::name), ...);
}

void every_way() {
  const AnyObjective objective = Sigmoid{0.1};
  for (const DType dtype : dtypes) {
    for (const Order order : {Order::halves, Order::interleaved, Order::listed, Order::packed}) {
      for (const Mask mask : {Mask::none, Mask::prompts, Mask::half, Mask::whole_answers}) {
        const Way plain{.order = order, .mask = mask};
        const Way full{.order = order, .mask = mask, .average = true, .nll = 0.05, .padding = 3};
        for (const Way& way : {plain, full}) {
          for (const std::int64_t vocab : {1, 64, 5000})
            logits_case("sigmoid 0.1", objective, way, dtype, vocab);
          for (const std::int64_t chunk_rows : {1, 12, 1000})
            hidden_case("sigmoid 0.1", objective, way, dtype, chunk_rows, way.average);
        }
      }
    }
  }
}

}  // namespace

int main() {
  every_objective(BuiltInObjectives{});
  every_case_of(Sigmoid{0.2}, "sigmoid, label smoothing 0.2");
  every_case_of(Robust{0.2}, "robust, label smoothing 0.2");
  every_way();
}
