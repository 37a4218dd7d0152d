// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <numbers>

#include "model.hpp"
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <sp2dpo/torch/loss.hpp>
#include <sp2dpo/torch/schedule.hpp>

namespace quickstart {
namespace {

using torch::Tensor;

constexpr int batch_pairs = 8;
constexpr int points_a_run = 6;
constexpr double warm_up_rate = 3e-3;
constexpr double rate = 3e-4;

/// Returns 0 … n − 1 in an order that depends on the seed alone.
std::vector<std::size_t> shuffled_numbers(std::size_t n, std::uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const Tensor order = torch::randperm(static_cast<std::int64_t>(n), generator, torch::kLong);
  const auto* first = order.data_ptr<std::int64_t>();
  return {first, first + n};
}

/// Yields endless batches of 0 … n − 1, each number once per epoch.
class Batches {
 public:
  Batches(std::size_t n, std::size_t size, std::uint64_t seed)
      : n_(n), size_(std::min(size, n)), seed_(seed) {}

  std::span<const std::size_t> next() {
    if (begin_ + size_ > order_.size()) {
      order_ = shuffled_numbers(n_, seed_ + 1000 * epoch_++);
      begin_ = 0;
    }
    begin_ += size_;
    return std::span(order_).subspan(begin_ - size_, size_);
  }

 private:
  std::size_t n_, size_, begin_ = 0;
  std::uint64_t seed_, epoch_ = 0;
  std::vector<std::size_t> order_;
};

/// AdamW with a learning rate that rises over the first tenth of the steps and then decays as a
/// cosine.
class Optimizer {
 public:
  Optimizer(Decoder& model, double peak, int steps)
      : parameters_(model.parameters()),
        adamw_(parameters_, torch::optim::AdamWOptions(peak).betas({0.9, 0.98}).weight_decay(0.01)),
        peak_(peak),
        steps_(steps) {}

  void step(const Tensor& loss) {
    const double done = (step_++ + 1.0) / steps_;
    const double share =
        std::min(done / 0.1, 0.55 + 0.45 * std::cos(std::numbers::pi * std::min(done, 1.0)));
    for (auto& group : adamw_.param_groups()) group.options().set_lr(peak_ * share);
    adamw_.zero_grad();
    loss.backward();
    torch::nn::utils::clip_grad_norm_(parameters_, 1.0);
    adamw_.step();
  }

 private:
  std::vector<Tensor> parameters_;
  torch::optim::AdamW adamw_;
  double peak_;
  int steps_;
  int step_ = 0;
};

/// Pairs, with their log-probabilities under the frozen reference.
struct PairSet {
  std::vector<const EncodedPair*> pairs;
  sp2dpo::LogProbs reference{};  // [pairs]
};

/// Computes log-probabilities of both responses in one batch, the chosen ones first.
sp2dpo::LogProbs log_probs(Decoder& model, const PairSet& set,
                           std::span<const std::size_t> numbers) {
  std::vector<const Sequence*> sequences;
  for (const auto i : numbers) sequences.push_back(&set.pairs[i]->chosen);
  for (const auto i : numbers) sequences.push_back(&set.pairs[i]->rejected);
  const auto halves = response_log_probs(model, make_batch(sequences)).chunk(2);
  return {halves[0], halves[1]};
}

/// Computes log-probabilities of the whole set without gradients. Pairs of similar length share a
/// batch, which keeps padding small.
sp2dpo::LogProbs log_probs(Decoder& model, const PairSet& set) {
  torch::NoGradGuard no_grad;
  const auto length = [&](std::size_t i) {
    return std::max(set.pairs[i]->chosen.bytes.size(), set.pairs[i]->rejected.bytes.size());
  };
  std::vector<std::size_t> order(set.pairs.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::ranges::less{}, length);

  const auto n = static_cast<std::int64_t>(order.size());
  sp2dpo::LogProbs all{torch::empty({n}, torch::kDouble), torch::empty({n}, torch::kDouble)};
  for (std::size_t begin = 0; begin < order.size(); begin += batch_pairs) {
    const auto part =
        std::span(order).subspan(begin, std::min<std::size_t>(batch_pairs, order.size() - begin));
    const auto some = log_probs(model, set, part);
    const auto places = torch::tensor(std::vector<std::int64_t>(part.begin(), part.end()));
    all.chosen.index_copy_(0, places, some.chosen);
    all.rejected.index_copy_(0, places, some.rejected);
  }
  return all;
}

sp2dpo::LogProbs select(const sp2dpo::LogProbs& from, const Tensor& places) {
  return {from.chosen.index_select(0, places), from.rejected.index_select(0, places)};
}

Point evaluate(Decoder& policy, const PairSet& held_out, int step, double loss) {
  const auto now = log_probs(policy, held_out);
  const Tensor margins =
      (now.chosen - held_out.reference.chosen) - (now.rejected - held_out.reference.rejected);
  const double accuracy = (0.5 * (margins.sign() + 1)).mean().item<double>();
  return {step, loss, accuracy, margins.mean().item<double>()};
}

std::vector<NamedTensor> weights_of(const Decoder& model) {
  std::vector<NamedTensor> weights;
  for (const auto& parameter : model.named_parameters()) {
    const Tensor values = parameter.value().detach().contiguous();
    const auto* first = values.data_ptr<float>();
    weights.push_back({parameter.key(), values.sizes().vec(), {first, first + values.numel()}});
  }
  return weights;
}

/// Limits libtorch and OpenBLAS to the calling thread. Nested threads slow each other down, and
/// concurrent runs would wait for OpenBLAS's own pool (3.6 times the work).
void use_one_thread() {
  at::set_num_threads(1);
  using SetThreads = void (*)(int);
  if (const auto set =
          reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")))
    set(1);
}

class Experiment {
 public:
  Experiment(const std::vector<EncodedPair>& pairs, const sp2dpo::Schedule& schedule,
             const Settings& settings, const std::function<bool()>& stopped)
      : settings_(settings),
        stopped_(stopped),
        config_{.context = static_cast<std::int64_t>(settings.context)} {
    const auto order = shuffled_numbers(pairs.size(), /*seed=*/1);
    for (std::size_t i = 0; i < order.size(); ++i)
      (i < pairs.size() / 4 ? held_out_ : training_).pairs.push_back(&pairs[order[i]]);
    std::vector<std::string> ids;
    for (const auto* pair : training_.pairs) ids.push_back(pair->id);
    // In float32, as the published metrics were computed.
    beta_ = sp2dpo::beta_tensor(schedule, ids).to(torch::kFloat);
  }

  Results run() {
    Results results{.training_pairs = training_.pairs.size(),
                    .held_out_pairs = held_out_.pairs.size(),
                    .mean_beta = beta_.mean().item<double>()};
    use_one_thread();
    torch::manual_seed(1);
    Decoder reference(config_);
    for (const auto& parameter : reference.parameters()) results.parameters += parameter.numel();
    warm_up(reference, results);
    if (stopped_()) return results;
    training_.reference = log_probs(reference, training_);
    held_out_.reference = log_probs(reference, held_out_);

    for (int seed = 0; seed < settings_.seeds; ++seed)
      for (const Arm arm : all_arms) results.runs.push_back({.arm = arm, .seed = seed});
    Progress progress("preference training", settings_.steps * std::ssize(results.runs));
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
      use_one_thread();
      for (std::size_t i; (i = next++) < results.runs.size() && !stopped_();)
        train(reference, results.runs[i], i == 0 ? &results : nullptr, progress);
    };
    std::vector<std::future<void>> workers;
    for (int i = 0; i < settings_.workers; ++i)
      workers.push_back(std::async(std::launch::async, work));
    for (auto& worker : workers) worker.get();
    return results;
  }

 private:
  /// Trains on the next byte of prompts and both responses, so that the reference prefers neither.
  void warm_up(Decoder& model, Results& results) {
    std::vector<const Sequence*> texts;
    for (const auto* pair : training_.pairs) {
      texts.push_back(&pair->chosen);
      texts.push_back(&pair->rejected);
    }
    Batches batches(texts.size(), 2 * batch_pairs, /*seed=*/1);
    Optimizer optimizer(model, warm_up_rate, settings_.warm_up_steps);
    Progress progress("warm-up", settings_.warm_up_steps);
    for (int step = 1; step <= settings_.warm_up_steps && !stopped_(); ++step) {
      std::vector<const Sequence*> sequences;
      for (const auto i : batches.next()) sequences.push_back(texts[i]);
      const Batch batch = make_batch(sequences);
      const Tensor loss = -token_log_probs(model, batch).masked_select(batch.written).mean();
      optimizer.step(loss);
      const double value = loss.item<double>();
      results.warm_up.push_back({.step = step, .loss = value, .accuracy = 0, .margin = 0});
      progress.advance(fmt::format("loss {:.2f} nats a byte", value));
    }
  }

  /// Stores the weights in `results` unless it is null.
  void train(const Decoder& reference, Run& run, Results* results, Progress& progress) const {
    const auto policy = copy_of(reference, config_);
    const Tensor beta = betas(run);
    const sp2dpo::Loss<> loss;
    Batches batches(training_.pairs.size(), batch_pairs, static_cast<std::uint64_t>(run.seed) + 1);
    Optimizer optimizer(*policy, rate, settings_.steps);
    run.points.push_back({.step = 0, .loss = 0, .accuracy = 0.5, .margin = 0});

    double sum = 0;
    int step = 0;
    while (step < settings_.steps && !stopped_()) {
      const auto numbers = batches.next();
      const Tensor places =
          torch::tensor(std::vector<std::int64_t>(numbers.begin(), numbers.end()));
      const auto out =
          loss(log_probs(*policy, training_, numbers), select(training_.reference, places),
               {.beta = beta.index_select(0, places)});
      optimizer.step(out.loss);
      sum += out.loss.item<double>();
      ++step;
      progress.advance();
      const int since = step - run.points.back().step;
      if (since >= std::max(1, settings_.steps / points_a_run) || step == settings_.steps) {
        run.points.push_back(evaluate(*policy, held_out_, step, sum / since));
        sum = 0;
      }
    }
    run.finished = step == settings_.steps;
    if (results == nullptr) return;
    results->policy = weights_of(*policy);
    results->policy_steps = step;
  }

  [[nodiscard]] Tensor betas(const Run& run) const {
    if (run.arm == Arm::constant) return torch::full_like(beta_, beta_.mean().item());
    if (run.arm == Arm::per_pair) return beta_;
    const auto order =
        shuffled_numbers(training_.pairs.size(), 7919u + static_cast<unsigned>(run.seed));
    return beta_.index_select(0,
                              torch::tensor(std::vector<std::int64_t>(order.begin(), order.end())));
  }

  Settings settings_;
  const std::function<bool()>& stopped_;
  DecoderConfig config_;
  PairSet training_;
  PairSet held_out_;
  Tensor beta_;  // [training pairs]
};

}  // namespace

std::string_view name_of(Arm arm) {
  switch (arm) {
    case Arm::per_pair:
      return "per-pair beta";
    case Arm::constant:
      return "constant beta";
    case Arm::shuffled:
      break;
  }
  return "shuffled beta";
}

Results run_experiment(const std::vector<EncodedPair>& pairs, const sp2dpo::Schedule& schedule,
                       const Settings& settings, const std::function<bool()>& stopped) {
  return Experiment(pairs, schedule, settings, stopped).run();
}

}  // namespace quickstart
