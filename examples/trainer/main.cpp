// SPDX-License-Identifier: Apache-2.0
// DPO with a beta for each pair, in plain libtorch. A small language model over bytes learns from
// the pairs; every step writes one line of metrics to a CSV file.
//
//     trainer pairs.jsonl schedule.jsonl metrics.csv
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <torch/torch.h>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/torch/loss.hpp>
#include <sp2dpo/torch/schedule.hpp>

namespace {

namespace nn = torch::nn;
using torch::Tensor;

constexpr std::int64_t vocabulary = 256, width = 64, context = 256;
constexpr std::int64_t batch_pairs = 8, accumulation = 2, steps = 30;
constexpr std::int64_t ignore_index = -100;

/// A causal transformer over bytes. The head is apart, because the loss takes the hidden states and
/// the head's weight, and never holds the logits of the whole batch.
struct Model : nn::Module {
  nn::Embedding bytes = register_module("bytes", nn::Embedding(vocabulary, width));
  nn::Embedding positions = register_module("positions", nn::Embedding(context, width));
  nn::TransformerEncoder layers = register_module(
      "layers", nn::TransformerEncoder(nn::TransformerEncoderLayer(
                                           nn::TransformerEncoderLayerOptions(width, /*nhead=*/4)
                                               .dim_feedforward(4 * width)
                                               .dropout(0)),
                                       /*num_layers=*/2));
  nn::Linear head = register_module("head", nn::Linear(width, vocabulary));

  /// Hidden states [S, T, width] of tokens [S, T].
  Tensor hidden(const Tensor& tokens) {
    const auto length = tokens.size(1);
    const Tensor mask =
        torch::full({length, length}, -std::numeric_limits<float>::infinity()).triu(1);
    const Tensor x = bytes(tokens) + positions(torch::arange(length));
    return layers(x.transpose(0, 1), mask).transpose(0, 1);
  }
};

/// P pairs as 2P sequences: the chosen responses come first, then the rejected ones.
struct Batch {
  Tensor tokens;  ///< int64 [2P, T], padded with zeros
  Tensor labels;  ///< int64 [2P, T]: the same tokens, but −100 for prompts and padding
};

std::string text_of(const sp2dpo::Text& text) {
  if (const auto* plain = std::get_if<std::string>(&text)) return *plain;
  std::string all;
  for (const auto& message : std::get<std::vector<sp2dpo::Message>>(text)) all += message.content;
  return all;
}

/// `numbers` int64 [P] are the positions in `pairs`. Sequences are cut at `context` bytes.
Batch collate(const std::vector<sp2dpo::PreferencePair>& pairs, const Tensor& numbers) {
  const auto count = numbers.numel();
  const Batch batch{torch::zeros({2 * count, context}, torch::kLong),
                    torch::full({2 * count, context}, ignore_index, torch::kLong)};
  auto tokens = batch.tokens.accessor<std::int64_t, 2>();
  auto labels = batch.labels.accessor<std::int64_t, 2>();
  std::int64_t longest = 0;
  for (std::int64_t row = 0; row < 2 * count; ++row) {
    const auto& pair = pairs[static_cast<std::size_t>(numbers[row % count].item<std::int64_t>())];
    const std::string prompt = text_of(pair.prompt) + '\n';
    const std::string text = prompt + text_of(row < count ? pair.chosen : pair.rejected) + '\n';
    const auto length = std::min(std::ssize(text), context);
    for (std::int64_t i = 0; i < length; ++i) {
      tokens[row][i] = static_cast<unsigned char>(text[static_cast<std::size_t>(i)]);
      if (i >= std::ssize(prompt)) labels[row][i] = tokens[row][i];
    }
    longest = std::max(longest, length);
  }
  return {batch.tokens.narrow(1, 0, longest), batch.labels.narrow(1, 0, longest)};
}

/// The frozen reference's log-probabilities of all pairs, computed once before the first step.
sp2dpo::LogProbs reference_log_probs(Model& model,
                                     const std::vector<sp2dpo::PreferencePair>& pairs) {
  torch::NoGradGuard no_grad;
  const sp2dpo::Loss<> loss;
  std::vector<Tensor> chosen, rejected;
  for (const Tensor& numbers : torch::arange(std::ssize(pairs)).split(batch_pairs)) {
    const Batch batch = collate(pairs, numbers);
    const auto out = loss.from_hidden(model.hidden(batch.tokens), model.head->weight,
                                      model.head->bias, sp2dpo::shift_for_causal_lm(batch.labels),
                                      sp2dpo::NoReference{}, {.beta = 1.0});
    chosen.push_back(out.chosen_logps());
    rejected.push_back(out.rejected_logps());
  }
  return {torch::cat(chosen), torch::cat(rejected)};
}

void train(const std::string& pairs_file, const std::string& schedule_file,
           const std::string& metrics_file) {
  std::vector<sp2dpo::PreferencePair> pairs;
  std::vector<std::string> ids;
  sp2dpo::io::PairReader reader(pairs_file);
  for (sp2dpo::PreferencePair pair; reader.next(pair);) {
    pairs.push_back(pair);
    ids.push_back(pair.id);
  }
  const auto n = std::ssize(pairs);
  if (n < batch_pairs) throw std::runtime_error("the trainer needs at least 8 pairs");

  torch::manual_seed(1);
  Model model;  // a real run loads the weights of its supervised fine-tuning here
  torch::optim::AdamW optimizer(model.parameters(), /*lr=*/1e-3);

  const std::vector<const char*> columns{"loss", "rewards/accuracies", "rewards/margins",
                                         "beta/mean", "grad_norm"};
  std::ofstream csv(metrics_file);
  csv << "step";
  for (const char* column : columns) csv << ',' << column;
  csv << '\n';

  // Micro-batches of one epoch after another; an incomplete one at the end is dropped.
  std::vector<Tensor> epoch;
  const auto next_numbers = [&] {
    if (epoch.empty()) epoch = torch::randperm(n).slice(0, n % batch_pairs).split(batch_pairs);
    const Tensor numbers = epoch.back();
    epoch.pop_back();
    return numbers;
  };

  // [loop]
  const auto schedule = sp2dpo::io::read_schedule(schedule_file).schedule;
  const Tensor beta = sp2dpo::beta_tensor(schedule, ids);  // [N], joined by pair id
  const auto reference = reference_log_probs(model, pairs);
  const sp2dpo::Loss<> loss({}, {.normalizer = batch_pairs * accumulation});

  for (std::int64_t step = 1; step <= steps; ++step) {
    std::map<std::string, double> metrics;
    optimizer.zero_grad();
    for (std::int64_t part = 0; part < accumulation; ++part) {
      const Tensor numbers = next_numbers();  // [P]
      const auto [tokens, labels] = collate(pairs, numbers);
      // [step]
      const sp2dpo::LogProbs fixed{reference.chosen.index_select(0, numbers),
                                   reference.rejected.index_select(0, numbers)};
      const Tensor targets = sp2dpo::shift_for_causal_lm(labels);  // position t predicts t + 1
      const auto out = loss.from_hidden(model.hidden(tokens), model.head->weight, model.head->bias,
                                        targets, fixed, {.beta = beta.index_select(0, numbers)});
      out.loss.backward();
      // [/step]
      metrics["loss"] += out.loss.item<double>();
      for (const auto& [name, value] : out.metrics()) metrics[name] += value / accumulation;
    }
    metrics["grad_norm"] = nn::utils::clip_grad_norm_(model.parameters(), /*max_norm=*/1.0);
    optimizer.step();

    csv << step;
    for (const char* column : columns) csv << ',' << metrics.at(column);
    csv << '\n';
  }
  // [/loop]
  if (!csv.flush()) throw std::runtime_error(metrics_file + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s PAIRS SCHEDULE METRICS.CSV\n", argv[0]);
    return 2;
  }
  try {
    train(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trainer: %s\n", error.what());
    return 1;
  }
}
