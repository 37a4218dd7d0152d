// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "progress.hpp"
#include "safetensors.hpp"
#include "text.hpp"

#include <sp2dpo/schedule/schedule.hpp>

namespace quickstart {

/// The three ways to choose the betas of the training pairs. The second keeps the first one's mean
/// and the third its distribution; only the first matches each beta to its pair.
enum class Arm : std::uint8_t { per_pair, constant, shuffled };

inline constexpr std::array all_arms{Arm::per_pair, Arm::constant, Arm::shuffled};
[[nodiscard]] std::string_view name_of(Arm arm);

struct Settings {
  std::size_t context = 128;  ///< bytes that the model reads
  int warm_up_steps = 150;    ///< of next-token training, 16 sequences each
  int steps = 48;             ///< of DPO, 8 pairs each
  int seeds = 5;              ///< runs of each arm
  int workers = 2;            ///< concurrent runs, one thread each
};

/// Figures of a model during training, on the held-out pairs. The log-ratio margin of a pair is
/// log π − log π_ref of the chosen response, minus the same for the rejected one.
struct Point {
  int step = 0;
  double loss = 0;      ///< mean of the training batches since the previous point; 0 at step 0
  double accuracy = 0;  ///< share of pairs with a positive margin; a margin of 0 counts half
  double margin = 0;    ///< mean margin, in nats
};

struct Run {
  Arm arm{};
  int seed{};
  std::vector<Point> points{};
  bool finished = false;
};

struct Results {
  std::size_t training_pairs = 0;
  std::size_t held_out_pairs = 0;
  double mean_beta = 0;          ///< over the training pairs
  std::int64_t parameters = 0;   ///< of the model
  std::vector<Point> warm_up{};  ///< step and loss only
  std::vector<Run> runs{};       ///< by seed, then arm; an unfinished run holds its points so far
  std::vector<NamedTensor> policy{};  ///< weights after the first run of per_pair
  int policy_steps = 0;               ///< of DPO, in `policy`
};

/// Holds out a quarter of the pairs, trains a reference on the others' text, then a policy for each
/// arm and seed. All arms of a seed see the same batches. Calls `stopped` before each step, and
/// returns the results so far once it is true.
[[nodiscard]] Results run_experiment(const std::vector<EncodedPair>& pairs,
                                     const sp2dpo::Schedule& schedule, const Settings& settings,
                                     const std::function<bool()>& stopped);

}  // namespace quickstart
