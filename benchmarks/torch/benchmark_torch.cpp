// SPDX-License-Identifier: Apache-2.0
// Compares the loss at its three levels with eager libtorch and with the time of memory traffic and
// matrix products alone. Prints a table; writes one JSON object per row to a file.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <regex>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "batch.hpp"
#include "eager.hpp"
#include "measure.hpp"
#include "memory.hpp"
#include "retained_heap.hpp"
#include "row.hpp"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo::benchmarks {
namespace {

using at::Tensor;

constexpr int threads = 2;
constexpr std::int64_t answer_tokens = 64;
/// Limit for both processes together. A larger shape runs without the process of the retained heap.
constexpr double memory_limit = 12e9;

struct Arguments {
  const char* program;
  bool quick = false;
  std::string out{};
  std::regex only{""};
};

/// Prints each row of the table at once, and writes it to a file on request.
class Report {
 public:
  explicit Report(const std::string& file) {
    if (file.empty()) return;
    out_.open(file);
    if (!out_) throw std::runtime_error(fmt::format("cannot write {}", file));
  }

  void add(const Row& row) {
    std::cout << table_line(row) << std::endl;
    if (out_.is_open()) out_ << json(row) << std::endl;
  }

 private:
  std::ofstream out_;
};

/// Checks the results before they are timed.
void check_same_loss(const Shape& shape, const Tensor& ours, const Tensor& eager) {
  const double a = ours.item<double>(), b = eager.item<double>();
  const double tolerance = shape.dtype == at::kFloat ? 1e-4 : 5e-2;
  if (!(std::abs(a - b) <= tolerance * std::abs(b)))
    throw std::runtime_error(
        fmt::format("level {}: our loss is {}, eager libtorch's {}", shape.level, a, b));
}

LogProbs reference_of(const Batch& batch) {
  return {batch.reference_chosen, batch.reference_rejected};
}

void log_probs_level(const Shape& shape, const Arguments& arguments, Report& report) {
  at::set_num_threads(1);  // a batch has few pairs
  const Batch batch(shape);
  const Loss<> loss;
  const LogProbs policy{batch.policy_chosen, batch.policy_rejected};
  const Controls controls{.beta = batch.beta};
  const auto through_backward = [&] {
    LossOutput out = loss(policy, reference_of(batch), controls);
    torch::autograd::grad({out.loss}, {policy.chosen, policy.rejected});
    return out;
  };
  check_same_loss(shape, through_backward().loss, eager_loss(batch).loss);

  std::map<std::string, double> metrics;
  // One call is too short to time.
  const auto many = [](const auto& call) {
    return [=] {
      constexpr int calls = 500;
      return seconds_of([&] {
               for (int i = 0; i < calls; ++i) call();
             }) /
             calls;
    };
  };
  const Contenders contenders{
      {"eager", many([&] { eager_loss(batch); })},
      {"eager + metrics", many([&] { eager_loss_and_metrics(batch, metrics); })},
      {"level1", many([&] { through_backward(); })},
      {"level1 + metrics", many([&] { metrics = through_backward().metrics(); })},
      {"level1_value_and_grad",
       many([&] { (void)loss.value_and_grad(policy, reference_of(batch), controls); })}};
  auto timing = measure(contenders, arguments.quick ? 0.5 : 2);
  at::set_num_threads(threads);

  const auto row = [&](const char* op, const char* ours, const char* eager, bool with_metrics) {
    report.add({.shape = shape,
                .op = op,
                .threads = 1,
                .metrics = with_metrics,
                .seconds = timing.at(ours).median,
                .spread = timing.at(ours).spread,
                .eager = timing.at(eager).median});
  };
  row("level1", "level1", "eager", false);
  row("level1", "level1 + metrics", "eager + metrics", true);
  row("level1_value_and_grad", "level1_value_and_grad", "eager", false);
}

void logits_level(const Shape& shape, const Arguments& arguments, Report& report) {
  const Batch batch(shape);
  const Loss<> loss;
  const Controls controls{.beta = batch.beta};
  const LogProbs reference = reference_of(batch);
  const Tensor pristine = batch.logits.detach();
  const Tensor scratch = at::zeros_like(pristine);
  const std::int64_t bytes = logits_bytes(shape);

  const auto through_backward = [&](const Tensor& logits, const LogitsOptions& options) {
    const LossOutput out = loss.from_logits(logits, batch.labels, reference, controls, options);
    torch::autograd::grad({out.loss}, {logits});
    return out.loss;
  };
  check_same_loss(shape, through_backward(batch.logits, {}), eager_loss(batch).loss);

  Contenders contenders{
      {"eager", [&] { return seconds_of([&] { eager_loss(batch); }); }},
      {"in_place",
       [&] {
         scratch.copy_(pristine);
         const Tensor logits = scratch.detach().requires_grad_();
         return seconds_of([&] { through_backward(logits, {.gradient_in_place = true}); });
       }},
      {"buffer",
       [&] {
         return seconds_of([&] { through_backward(batch.logits, {.gradient_buffer = scratch}); });
       }},
      {"out_of_place", [&] { return seconds_of([&] { through_backward(batch.logits, {}); }); }},
      {"unit",
       [&] {
         scratch.copy_(pristine);
         return seconds_of([&] {
           (void)loss.value_and_grad_from_logits(scratch, batch.labels, reference, controls,
                                                 {.gradient_in_place = true}, true);
         });
       }},
      {"read", [&] { return seconds_of([&] { read_memory(pristine.data_ptr(), bytes); }); }},
      {"rewrite", [&] { return seconds_of([&] { rewrite_memory(scratch.data_ptr(), bytes); }); }},
      {"copy", [&] {
         return seconds_of([&] { copy_memory(scratch.data_ptr(), pristine.data_ptr(), bytes); });
       }}};
  if (shape.mask_percent == 0)
    contenders["eager logsumexp"] = [&] {
      return seconds_of([&] { eager_loss(batch, LogProbsBy::logsumexp); });
    };
  const RetainedHeap retained(arguments.program, shape, threads);
  contenders["eager retained"] = [&] { return retained.seconds(); };
  auto timing = measure(contenders, arguments.quick ? 2 : 6);

  // Unmasked rows are read and, in a second pass, rewritten; masked rows are overwritten with
  // zeros.
  const double read = timing.at("read").median;
  const double share = 1 - shape.mask_percent / 100.0;
  for (const char* op : {"in_place", "buffer", "out_of_place", "unit"}) {
    const bool in_place = op == std::string("in_place") || op == std::string("unit");
    Row row{.shape = shape,
            .op = op,
            .threads = threads,
            .seconds = timing.at(op).median,
            .spread = timing.at(op).spread,
            .eager = timing.at("eager").median,
            .eager_retained = timing.at("eager retained").median};
    if (shape.mask_percent == 0) row.eager_logsumexp = timing.at("eager logsumexp").median;
    const double write = timing.at(in_place ? "rewrite" : "copy").median;
    if ((in_place ? 1 : 2) * bytes > 4 * last_level_cache())
      row.floor =
          share * (write + (op == std::string("unit") ? 0 : read)) + (1 - share) * write / 2;
    report.add(row);
  }
}

/// Times the three matrix products on the unmasked rows, into allocated memory.
class Products {
 public:
  explicit Products(const Batch& batch) {
    const c10::NoGradGuard no_grad;
    const Tensor rows = at::nonzero(batch.labels.flatten().ne(-100)).flatten();
    hidden_ = batch.hidden.flatten(0, 1).index_select(0, rows);
    head_ = batch.head.detach();
    logits_ = at::zeros({rows.size(0), head_.size(0)}, head_.options());
    d_hidden_ = at::zeros_like(hidden_);
    d_head_ = at::zeros_like(head_);
  }

  void operator()() {
    const c10::NoGradGuard no_grad;
    at::mm_out(logits_, hidden_, head_.t());
    at::mm_out(d_hidden_, logits_, head_);
    at::mm_out(d_head_, logits_.t(), hidden_);
  }

 private:
  Tensor hidden_, head_, logits_, d_hidden_, d_head_;
};

void hidden_level(const Shape& shape, const Arguments& arguments, Report& report) {
  const Batch batch(shape);
  const Loss<> loss;
  const auto through_backward = [&] {
    const LossOutput out = loss.from_hidden(batch.hidden, batch.head, {}, batch.labels,
                                            reference_of(batch), {.beta = batch.beta});
    torch::autograd::grad({out.loss}, {batch.hidden, batch.head});
    return out.loss;
  };
  check_same_loss(shape, through_backward(), eager_loss(batch).loss);

  Products products(batch);
  Contenders contenders{{"eager", [&] { return seconds_of([&] { eager_loss(batch); }); }},
                        {"hidden", [&] { return seconds_of(through_backward); }},
                        {"products", [&] { return seconds_of(products); }}};
  std::unique_ptr<RetainedHeap> retained;
  const auto logits = static_cast<double>(logits_bytes(shape));
  const auto head = static_cast<double>(batch.head.nbytes());
  if (9 * logits + 6 * head < memory_limit) {
    retained = std::make_unique<RetainedHeap>(arguments.program, shape, threads);
    contenders["eager retained"] = [&] { return retained->seconds(); };
  }
  auto timing = measure(contenders, arguments.quick ? 3 : 8);

  Row row{.shape = shape,
          .op = "hidden",
          .threads = threads,
          .seconds = timing.at("hidden").median,
          .spread = timing.at("hidden").spread,
          .eager = timing.at("eager").median,
          .floor = timing.at("products").median};
  if (retained != nullptr) row.eager_retained = timing.at("eager retained").median;
  report.add(row);
}

/// The shapes to measure, in the order of the table.
std::vector<Shape> shapes(bool quick) {
  using Sizes = std::vector<std::int64_t>;
  std::vector<Shape> result;
  for (const std::int64_t pairs : quick ? Sizes{8, 64} : Sizes{1, 8, 64, 1024})
    result.push_back({.level = 1, .pairs = pairs});
  const auto add = [&](int level, const Sizes& rows, const Sizes& vocabularies, const Sizes& widths,
                       const std::vector<int>& masks) {
    for (const auto dtype : {at::kFloat, at::kBFloat16})
      for (const std::int64_t vocab : vocabularies)
        for (const std::int64_t r : rows)
          for (const std::int64_t width : widths)
            for (const int mask : masks)
              result.push_back({level, dtype, r / (2 * answer_tokens), r, vocab, width, mask});
  };
  if (quick) {
    add(2, {512}, {32000, 128256}, {0}, {0, 50});
    add(3, {512}, {32000}, {768}, {0, 50});
  } else {
    add(2, {128, 512, 2048}, {32000, 50257, 128256, 151936}, {0}, {0, 50, 75});
    add(3, {128, 512, 2048}, {32000, 50257, 128256, 151936}, {768, 2048}, {0, 50, 75});
  }
  return result;
}

/// The name that --only matches.
std::string label_of(const Shape& shape) {
  return fmt::format("level{}/{}/P{}/R{}/V{}/H{}/mask{}", shape.level, name_of(shape.dtype),
                     shape.pairs, shape.rows, shape.vocab, shape.hidden, shape.mask_percent);
}

Arguments parse(int argc, char** argv) {
  Arguments result{.program = "/proc/self/exe"};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&] {
      if (i + 1 == argc) throw std::runtime_error(argument + " needs a value");
      return std::string(argv[++i]);
    };
    if (argument == "--quick")
      result.quick = true;
    else if (argument == "--out")
      result.out = value();
    else if (argument == "--only")
      result.only = std::regex(value());
    else
      throw std::runtime_error(
          fmt::format("unknown option {}; expected --quick, --out FILE or --only REGEX", argument));
  }
  return result;
}

void run(const Arguments& arguments) {
  int argc = 2;
  char program[] = "benchmark_torch",
       interleaving[] = "--benchmark_enable_random_interleaving=true";
  char* argv[] = {program, interleaving, nullptr};
  benchmark::Initialize(&argc, argv);
  at::set_num_threads(threads);

  std::cout << "libtorch " << TORCH_VERSION << ", " << threads << " threads (level 1: one), cache "
            << (last_level_cache() >> 20) << " MiB; ms are medians, spread is p20 to p80\n"
            << table_head() << std::endl;
  Report report(arguments.out);
  for (const Shape& shape : shapes(arguments.quick)) {
    if (!std::regex_search(label_of(shape), arguments.only)) continue;
    const auto level = shape.level == 1   ? log_probs_level
                       : shape.level == 2 ? logits_level
                                          : hidden_level;
    level(shape, arguments, report);
  }
}

}  // namespace
}  // namespace sp2dpo::benchmarks

int main(int argc, char** argv) {
  using namespace sp2dpo::benchmarks;
  try {
    if (argc > 1 && std::strcmp(argv[1], RetainedHeap::argument) == 0)
      return RetainedHeap::serve({argv + 2, argv + argc});
    run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "benchmark_torch: " << error.what() << '\n';
    return 1;
  }
}
