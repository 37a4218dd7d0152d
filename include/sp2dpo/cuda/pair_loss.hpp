// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <typeinfo>

#include <sp2dpo/cuda/stream.hpp>
#include <sp2dpo/loss/any_objective.hpp>

namespace sp2dpo::cuda {

/// The arguments of a batch. Every pointer is to device memory that the caller owns.
struct PairLossArgs {
  PairInputs in{};
  PairOutputs out{};
  PairSink
      total{};  ///< one number: out.gradient_scale · Σ weight_i · value_i, summed in a fixed order
  std::int64_t pairs = 0;
  void* workspace = nullptr;  ///< pair_loss_workspace(pairs) bytes, 8-byte aligned
  std::size_t workspace_bytes = 0;
};

/// Returns the bytes of workspace that pair_loss needs: 0 for up to 4096 pairs.
[[nodiscard]] std::size_t pair_loss_workspace(std::int64_t pairs);

/// Runs sp2dpo::pair_loss on the device, with the same numbers from the same code: one launch on
/// `stream` for up to 4096 pairs, two for more. Returns at once, and allocates and synchronises
/// nothing. The outputs are bit-identical on every run. Throws InvalidArgument for a null input and
/// for a workspace that is too small, and CudaError if a launch fails. Declared for Sigmoid;
/// pair_loss.cuh defines it for any other objective.
template <PairObjective Objective>
void pair_loss(const PairLossArgs& args, const Objective& objective, Stream stream);

extern template void pair_loss<Sigmoid>(const PairLossArgs&, const Sigmoid&, Stream);

/// A pair_loss() whose objective is passed by address.
using PairLossLauncher = void (*)(const PairLossArgs&, const void* objective, Stream);

/// Makes an objective known to pair_loss(AnyObjective). Registered<Objective> in pair_loss.cuh does
/// so in one line. Several threads may call it.
void register_objective(const std::type_info& type, PairLossLauncher launcher);

/// Runs the loss for an objective that is registered or the library's own (BuiltInObjectives). For
/// any other, throws InvalidArgument with the line that is missing.
void pair_loss(const PairLossArgs& args, const AnyObjective& objective, Stream stream);

}  // namespace sp2dpo::cuda
