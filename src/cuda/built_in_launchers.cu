// SPDX-License-Identifier: Apache-2.0
#include "built_in_launchers.hpp"

#include <sp2dpo/cuda/pair_loss.cuh>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cuda {
namespace {

template <class Objective>
void launch(const PairLossArgs& args, const void* objective, Stream stream) {
  pair_loss(args, *static_cast<const Objective*>(objective), stream);
}

template <class... Objectives>
Launchers launchers_of(ObjectiveList<Objectives...>) {
  return {{typeid(Objectives), launch<Objectives>}...};
}

}  // namespace

std::size_t pair_loss_workspace(std::int64_t pairs) {
  const std::int64_t blocks = detail::pair_loss_blocks(pairs);
  return blocks > 1 ? static_cast<std::size_t>(blocks) * sizeof(double) : 0;
}

template void pair_loss<Sigmoid>(const PairLossArgs&, const Sigmoid&, Stream);

Launchers built_in_launchers() {
  return launchers_of(BuiltInObjectives());
}

}  // namespace sp2dpo::cuda
