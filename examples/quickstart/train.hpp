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

/// The three ways to choose the betas of the training pairs. The second has the first's mean, the
/// third its distribution; only the first knows which pair is which.
enum class Arm : std::uint8_t { per_pair, constant, shuffled };

inline constexpr std::array all_arms{Arm::per_pair, Arm::constant, Arm::shuffled};
[[nodiscard]] std::string_view name_of(Arm arm);

struct Settings {
  std::size_t context = 128;  ///< bytes that the model reads
  int warm_up_steps = 150;    ///< of next-token training, 16 sequences each
  int steps = 48;             ///< of DPO, 8 pairs each
  int seeds = 5;              ///< runs of each arm
  int workers = 2;            ///< runs side by side, a thread each
};

/// A model during training, on the held-out pairs. There a pair's log-ratio margin is log π − log
/// π_ref of the chosen answer, minus the same of the rejected one.
struct Point {
  int step = 0;
  double loss = 0;  ///< of the training batches since the point before; 0 at step 0
  double accuracy =
      0;              ///< share of the pairs whose margin is positive, a margin of 0 counting half
  double margin = 0;  ///< mean margin, in nats
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
  double mean_beta = 0;               ///< over the training pairs
  std::int64_t parameters = 0;        ///< of the model
  std::vector<Point> warm_up{};       ///< step and loss only
  std::vector<Run> runs{};            ///< by seed, then arm; unfinished ones hold what they have
  std::vector<NamedTensor> policy{};  ///< the weights after the first run of per_pair
  int policy_steps = 0;               ///< of DPO, in `policy`
};

/// Holds out a quarter of the pairs, trains a reference on the others' text, then a policy for each
/// arm and seed. All arms of a seed see the same batches. Looks at `stopped` before each step, and
/// returns what there is once it says so.
[[nodiscard]] Results run_experiment(const std::vector<EncodedPair>& pairs,
                                     const sp2dpo::Schedule& schedule, const Settings& settings,
                                     const std::function<bool()>& stopped);

}  // namespace quickstart
