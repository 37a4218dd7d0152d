// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <typeinfo>

#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/any_objective.hpp>

namespace sp2dpo::cuda {

/// One batch. Every pointer is one of device memory that the caller owns.
struct PairLossArgs {
  PairInputs in{};
  PairOutputs out{};
  PairSink
      total{};  ///< one number: out.gradient_scale · Σ weight_i · value_i, summed in a fixed order
  std::int64_t pairs = 0;
  void* workspace = nullptr;  ///< pair_loss_workspace(pairs) bytes, 8-byte aligned
  std::size_t workspace_bytes = 0;
};

/// Bytes that pair_loss wants as workspace: none for up to 4096 pairs.
[[nodiscard]] std::size_t pair_loss_workspace(std::int64_t pairs);

/// sp2dpo::pair_loss on the device, the same numbers from the same code: one launch on `stream`
/// for up to 4096 pairs, two beyond. Returns at once; allocates and synchronises nothing. Outputs
/// are the same bits on every run. Throws InvalidArgument for an input that is an array at null and
/// for a workspace that is too small, CudaError where a launch fails. Declared for Sigmoid;
/// pair_loss.cuh gives it for any other objective.
template <PairObjective Objective>
void pair_loss(const PairLossArgs& args, const Objective& objective, Stream stream);

extern template void pair_loss<Sigmoid>(const PairLossArgs&, const Sigmoid&, Stream);

/// A pair_loss() whose objective is passed by address.
using PairLossLauncher = void (*)(const PairLossArgs&, const void* objective, Stream);

/// Makes an objective known to pair_loss(AnyObjective): what Registered<Objective> in pair_loss.cuh
/// does in one line.
void register_objective(const std::type_info& type, PairLossLauncher launcher);

/// As above for an objective that is registered or the library's own (BuiltInObjectives). Throws
/// InvalidArgument naming the missing line for any other.
void pair_loss(const PairLossArgs& args, const AnyObjective& objective, Stream stream);

}  // namespace sp2dpo::cuda
