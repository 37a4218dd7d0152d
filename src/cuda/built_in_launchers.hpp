// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <typeindex>

#include <sp2dpo/cuda/pair_loss.hpp>

namespace sp2dpo::cuda {

using Launchers = std::map<std::type_index, PairLossLauncher>;

/// Returns the launchers of the library's own objectives.
Launchers built_in_launchers();

}  // namespace sp2dpo::cuda
