// SPDX-License-Identifier: Apache-2.0
#include <mutex>
#include <string>

#include "built_in_launchers.hpp"

#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/detail/type_name.hpp>

namespace sp2dpo::cuda {
namespace {

struct Objectives {
  std::mutex mutex;
  Launchers launchers = built_in_launchers();
};

/// Constructed at first use, since registration runs in static constructors.
Objectives& objectives() {
  static Objectives table;
  return table;
}

}  // namespace

void register_objective(const std::type_info& type, PairLossLauncher launcher) {
  auto& table = objectives();
  const std::lock_guard lock(table.mutex);
  table.launchers[type] = launcher;
}

void pair_loss(const PairLossArgs& args, const AnyObjective& objective, Stream stream) {
  PairLossLauncher launcher = nullptr;
  {
    auto& table = objectives();
    const std::lock_guard lock(table.mutex);
    if (const auto found = table.launchers.find(objective.type()); found != table.launchers.end())
      launcher = found->second;
  }
  if (launcher == nullptr) {
    const std::string name = sp2dpo::detail::type_name(objective.type());
    throw InvalidArgument(
        "the objective " + name +
        " is not registered for CUDA; add this line to a .cu file of your program, after "
        "#include <sp2dpo/cuda/pair_loss.cuh>: static const "
        "sp2dpo::cuda::Registered<" +
        name + "> registered;");
  }
  launcher(args, objective.data(), stream);
}

}  // namespace sp2dpo::cuda
