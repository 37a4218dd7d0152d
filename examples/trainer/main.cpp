// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <sp2dpo/torch/loss.hpp>
#include <sp2dpo/torch/schedule.hpp>

// Stands for a language model: gives each of 4 pairs the log-probabilities of its two answers.
struct Model : torch::nn::Module {
  torch::Tensor scores = register_parameter("scores", torch::full({2, 4}, -20.0));

  sp2dpo::LogProbs log_probs() const { return {.chosen = scores[0], .rejected = scores[1]}; }
};

int main() {
  const std::vector<std::string> ids{"a", "b", "c", "d"};
  const sp2dpo::Schedule schedule({{"a", 0.27}, {"b", 0.12}, {"c", 0.05}, {"d", 0.19}});
  Model policy, reference;
  torch::optim::SGD optimizer(policy.parameters(), /*lr=*/10);

  // [loop]
  const sp2dpo::Loss<> loss;                                      // -log sigmoid(beta_i * delta_i)
  const torch::Tensor beta = sp2dpo::beta_tensor(schedule, ids);  // joined by pair id
  for (int step = 0; step < 100; ++step) {
    sp2dpo::LogProbs fixed;
    {
      torch::NoGradGuard no_grad;
      fixed = reference.log_probs();
    }
    const auto out = loss(policy.log_probs(), fixed, {.beta = beta});
    optimizer.zero_grad();
    out.loss.backward();
    optimizer.step();
    if (step % 20 == 0) std::cout << step << ' ' << out.metrics().at("rewards/margins") << '\n';
  }
  // [/loop]
}
