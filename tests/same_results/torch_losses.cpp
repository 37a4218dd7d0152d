// SPDX-License-Identifier: Apache-2.0
// Prints a hash of the losses, gradients and metrics of sp2dpo::torch on the CPU, one line a case.
// The source compiles against 9368ac7 too, whose headers lay at the top of include/sp2dpo.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#if __has_include(<sp2dpo/loss/built_in_objectives.hpp>)
#include <sp2dpo/loss/built_in_objectives.hpp>
#else
#include <sp2dpo/objectives.hpp>
#endif

#include "hash.hpp"

#include <sp2dpo/torch/loss.hpp>

namespace {

using namespace sp2dpo;

void add(Hash& hash, const at::Tensor& tensor) {
  if (!tensor.defined()) return;
  const at::Tensor dense = tensor.detach().contiguous();
  hash.add(dense.data_ptr(), static_cast<std::size_t>(dense.nbytes()));
}

void add(Hash& hash, const LossOutput& out) {
  for (const auto& tensor : {out.loss, out.losses(), out.chosen_logps(), out.rejected_logps(),
                             out.chosen_rewards(), out.rejected_rewards(), out.log_ratios()})
    add(hash, tensor);
  for (const auto& [name, value] : out.metrics()) {
    hash.add(name.data(), name.size());
    hash.add_number(value);
  }
}

constexpr std::int64_t n_pairs = 5, length = 6, vocab = 61, width = 24;

/// Tensors of one element type, the same in every run.
class Inputs {
 public:
  explicit Inputs(at::ScalarType dtype)
      : generator_(at::detail::createCPUGenerator(11)), dtype_(dtype) {}

  at::Tensor normal(at::IntArrayRef shape, double scale = 1) {
    const auto drawn = at::randn(shape, generator_, at::TensorOptions().dtype(at::kDouble));
    return drawn.mul(scale).to(dtype_);
  }
  at::Tensor leaf(at::IntArrayRef shape, double scale = 1) {
    return normal(shape, scale).requires_grad_();
  }
  at::Tensor labels(std::int64_t rows, const std::string& mask) {
    auto labels = at::randint(0, vocab, {rows}, generator_, at::TensorOptions().dtype(at::kLong));
    for (std::int64_t row = 0; row < rows; ++row)
      if ((mask == "prompts" && row % length < 2) || (mask == "half" && row % 2 == 0) ||
          (mask == "an answer" && row / length == 1))
        labels[row] = -100;
    return labels;
  }
  Controls controls(bool margin) {
    const auto uniform = [&](double low, double high) {
      const auto drawn = at::rand({n_pairs}, generator_, at::TensorOptions().dtype(at::kFloat));
      return at::Tensor(drawn.mul(high - low).add(low));
    };
    Controls controls{uniform(0.03, 0.3).requires_grad_()};
    if (margin) controls.margin = uniform(-1, 1).requires_grad_();
    controls.weight = uniform(0, 2);
    return controls;
  }

 private:
  at::Generator generator_;
  at::ScalarType dtype_;
};

void add_gradients(Hash& hash, const LossOutput& out, const Controls& controls,
                   std::initializer_list<at::Tensor> leaves) {
  if (out.loss.dim() == 0)
    out.loss.backward();
  else
    out.loss.mul(at::arange(1, out.loss.numel() + 1)).sum().backward();
  for (const auto& leaf : leaves)
    if (leaf.defined()) add(hash, leaf.grad());
  for (const auto* control : {&controls.beta, &controls.margin})
    if (control->tensor.defined() && control->tensor.requires_grad())
      add(hash, control->tensor.grad());
}

template <class Objective>
void log_probs_case(const std::string& name, const Objective& objective, LossOptions options,
                    at::ScalarType dtype) {
  Inputs inputs(dtype);
  const bool averaged = averages_log_probs<Objective>;
  const LogProbs policy{inputs.leaf({n_pairs}, 9), inputs.leaf({n_pairs}, 9), averaged};
  const LogProbs reference{inputs.normal({n_pairs}, 9), inputs.normal({n_pairs}, 9), averaged};
  const Controls controls = inputs.controls(takes_margin<Objective>);
  const Loss<Objective> loss(objective, options);
  Hash hash;
  const auto out = loss(policy, reference, controls);
  add(hash, out);
  add_gradients(hash, out, controls, {policy.chosen, policy.rejected});
  if (options.reduction != Reduction::none) {
    const auto gradient = loss.value_and_grad(
        {policy.chosen.detach(), policy.rejected.detach(), averaged}, reference, controls);
    add(hash, gradient.output);
    add(hash, gradient.chosen);
    add(hash, gradient.rejected);
  }
  hash.print("log-probabilities, " + name + ", " + at::toString(dtype));
}

/// A shape of the batch, by name.
struct Shape {
  std::string name = "halves";
  std::string mask = "prompts";
  bool strided = false;
};

struct Rows {
  std::vector<std::int64_t> shape;  // of the labels
  std::int64_t count;
  PairLayout layout{};
};

Rows rows_of(const Shape& shape) {
  Rows rows{{2 * n_pairs, length}, 2 * n_pairs * length};
  if (shape.name == "interleaved") rows.layout.order = Sequences::Layout::interleaved;
  if (shape.name == "listed") {
    rows.layout.order = Sequences::Layout::listed;
    std::vector<std::int64_t> chosen, rejected;
    for (std::int64_t i = 0; i < n_pairs; ++i) {
      chosen.push_back((3 * i + 4) % (2 * n_pairs));
      rejected.push_back((3 * i + 9) % (2 * n_pairs));
    }
    rows.layout.chosen = at::tensor(chosen, at::kLong);
    rows.layout.rejected = at::tensor(rejected, at::kLong);
  }
  if (shape.name == "packed") {
    std::vector<std::int64_t> bounds{0};
    for (std::int64_t s = 0; s < 2 * n_pairs; ++s) bounds.push_back(bounds.back() + 3 + s % 5);
    rows.layout.cu_seqlens = at::tensor(bounds, at::kLong);
    rows.count = bounds.back();
    rows.shape = {rows.count};
  }
  return rows;
}

std::vector<std::int64_t> with(std::vector<std::int64_t> shape, std::int64_t last) {
  shape.push_back(last);
  return shape;
}

template <class Objective>
void logits_case(const std::string& name, const Objective& objective, const LossOptions& options,
                 const Shape& shape, at::ScalarType dtype, const std::string& form) {
  Inputs inputs(dtype);
  Rows rows = rows_of(shape);
  const std::int64_t columns = shape.strided ? vocab + 3 : vocab;
  const auto labels = inputs.labels(rows.count, shape.mask).view(rows.shape);
  const auto leaf = inputs.leaf(with(rows.shape, columns), 2);
  const auto logits = shape.strided && rows.shape.size() == 2
                          ? leaf.transpose(0, 1).contiguous().transpose(0, 1)
                          : leaf;
  const auto reference_logits = inputs.normal(with(rows.shape, columns), 2);
  const auto reference_hidden = inputs.normal(with(rows.shape, width));
  const auto reference_head = inputs.normal({vocab, width});
  const LogProbs reference_log_probs{inputs.normal({n_pairs}, 9), inputs.normal({n_pairs}, 9),
                                     averages_log_probs<Objective>};
  Reference reference = NoReference{};
  if (form == "log-probabilities") reference = reference_log_probs;
  if (form == "logits") reference = ReferenceLogits{reference_logits};
  if (form == "hidden") reference = ReferenceHidden{reference_hidden, reference_head};
  const Controls controls = inputs.controls(takes_margin<Objective>);
  LogitsOptions of_logits{.layout = rows.layout};
  if (shape.strided) of_logits.vocab_size = vocab;

  const Loss<Objective> loss(objective, options);
  Hash hash;
  const auto out = loss.from_logits(logits, labels, reference, controls, of_logits);
  add(hash, out);
  add_gradients(hash, out, controls, {leaf});
  for (const bool unit : {false, true}) {
    if (options.reduction == Reduction::none || (unit && options.nll_coefficient != 0)) continue;
    const auto gradient = loss.value_and_grad_from_logits(logits.detach(), labels, reference,
                                                          controls, of_logits, unit);
    add(hash, gradient.output);
    add(hash, gradient.logits);
    add(hash, gradient.row_scale);
  }
  hash.print("logits, " + name + ", " + shape.name + ", " + shape.mask +
             (shape.strided ? ", strided" : "") + ", reference: " + form + ", " +
             at::toString(dtype));
}

template <class Objective>
void hidden_case(const std::string& name, const Objective& objective, const LossOptions& options,
                 const Shape& shape, at::ScalarType dtype, std::int64_t workspace, bool bias) {
  Inputs inputs(dtype);
  Rows rows = rows_of(shape);
  const auto labels = inputs.labels(rows.count, shape.mask).view(rows.shape);
  const auto hidden = inputs.leaf(with(rows.shape, width));
  const auto head = inputs.leaf({vocab, width});
  const auto head_bias = bias ? inputs.leaf({vocab}) : at::Tensor();
  const Reference reference =
      ReferenceHidden{inputs.normal(with(rows.shape, width)), inputs.normal({vocab, width})};
  const Controls controls = inputs.controls(takes_margin<Objective>);
  HiddenOptions of_hidden{.layout = rows.layout, .workspace_bytes = workspace, .precise = bias};
  const Loss<Objective> loss(objective, options);
  Hash hash;
  const auto out =
      loss.from_hidden(hidden, head, head_bias, labels, reference, controls, of_hidden);
  add(hash, out);
  add_gradients(hash, out, controls, {hidden, head, head_bias});
  for (const bool need_dw : {true, false}) {
    const auto gradient = loss.value_and_grad_from_hidden(
        hidden.detach(), head.detach(), bias ? head_bias.detach() : head_bias, labels, reference,
        controls, of_hidden, need_dw);
    add(hash, gradient.output);
    for (const auto& part : {gradient.hidden, gradient.head_weight, gradient.head_bias})
      add(hash, part);
  }
  hash.print("hidden, " + name + ", " + shape.name + ", " + shape.mask + ", workspace " +
             std::to_string(workspace) + (bias ? ", bias, precise" : "") + ", " +
             at::toString(dtype));
}

constexpr at::ScalarType dtypes[] = {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};

template <class Objective>
void every_level_of(const Objective& objective, const std::string& name) {
  LossOptions options;
  options.average_log_prob = averages_log_probs<Objective>;
  for (const auto dtype : dtypes) {
    log_probs_case(name, objective, {}, dtype);
    logits_case(name, objective, options, {}, dtype, "logits");
    hidden_case(name, objective, options, {}, dtype, 1 << 14, false);
  }
}

template <class... Objectives>
void every_objective(ObjectiveList<Objectives...>) {
  (every_level_of(Objectives{}, Objectives::name), ...);
}

void every_shape() {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const char* order : {"halves", "interleaved", "listed", "packed"}) {
      for (const char* mask : {"none", "prompts", "half", "an answer"}) {
        LossOptions options;
        options.empty_rows = EmptyRows::skip;
        for (const bool strided : {false, true})
          for (const char* form : {"none", "log-probabilities", "logits", "hidden"})
            logits_case("sigmoid", Sigmoid{}, options, {order, mask, strided}, dtype, form);
        for (const std::int64_t workspace : {1, 1 << 12, 1 << 24})
          hidden_case("sigmoid", Sigmoid{}, options, {order, mask}, dtype, workspace,
                      workspace == 1 << 12);
      }
    }
  }
}

void every_option() {
  const std::pair<const char*, std::function<void(LossOptions&)>> settings[] = {
      {"sum", [](LossOptions& o) { o.reduction = Reduction::sum; }},
      {"normalizer", [](LossOptions& o) { o.normalizer = 64; }},
      {"averaged", [](LossOptions& o) { o.average_log_prob = true; }},
      {"empty rows kept", [](LossOptions& o) { o.empty_rows = EmptyRows::keep; }},
      {"nll", [](LossOptions& o) { o.nll_coefficient = 0.2; }},
      {"nll normalizer",
       [](LossOptions& o) {
         o.nll_coefficient = 0.2;
         o.nll_normalizer = 100;
       }},
      {"mean logits", [](LossOptions& o) { o.mean_logits = true; }}};
  for (const auto& [name, set] : settings) {
    LossOptions options;
    options.empty_rows = EmptyRows::skip;
    set(options);
    for (const auto dtype : dtypes) {
      const Shape shape{.mask = "an answer"};
      logits_case(std::string("sigmoid, ") + name, Sigmoid{0.1}, options, shape, dtype, "logits");
      hidden_case(std::string("sigmoid, ") + name, Sigmoid{0.1}, options, shape, dtype, 1 << 13,
                  true);
    }
  }
  LossOptions none;
  none.reduction = Reduction::none;
  for (const auto dtype : dtypes) {
    log_probs_case("sigmoid, unreduced", Sigmoid{}, none, dtype);
    logits_case("sigmoid, unreduced", Sigmoid{}, none, {}, dtype, "logits");
  }
}

}  // namespace

int main() {
  at::set_num_threads(2);
  every_objective(BuiltInObjectives{});
  every_shape();
  every_option();
}
