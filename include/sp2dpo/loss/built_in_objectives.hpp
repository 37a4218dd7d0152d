// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sp2dpo/loss/objective.hpp>
#include <sp2dpo/loss/two_sided_objectives.hpp>
#include <sp2dpo/loss/z_objectives.hpp>

/// The library's own objectives under the names that TRL gives them. TRL's aot and aot_unpaired are
/// missing on purpose: they sort the log-ratios over the batch, so that a pair has no loss of its
/// own and therefore no beta, margin or weight.
namespace sp2dpo {

/// A list of types to iterate over at compile time.
template <class... Objectives>
struct ObjectiveList {};

/// The objectives that CUDA tensors accept without registration and that operators know by name.
using BuiltInObjectives = ObjectiveList<Sigmoid, Hinge, Robust, ExoPair, DiscoPop, SigmoidNorm, Ipo,
                                        SppoHard, NcaPair, BcoPair, ApoZero, ApoDown>;

}  // namespace sp2dpo
