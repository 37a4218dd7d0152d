// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <typeindex>

#include <cxxabi.h>

#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::cuda {
namespace {

template <PairObjective Objective>
void launch(const PairLossArgs& args, const void* objective, Stream stream) {
  pair_loss(args, *static_cast<const Objective*>(objective), stream);
}

struct Objectives {
  std::mutex mutex;
  std::map<std::type_index, PairLossLauncher> launchers{{typeid(Sigmoid), launch<Sigmoid>}};
};

/// Made at first use: registration runs in static constructors.
Objectives& objectives() {
  static Objectives table;
  return table;
}

std::string readable(const std::type_info& type) {
  int status = 0;
  char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string text = status == 0 ? name : type.name();
  std::free(name);
  return text;
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
    const std::string name = readable(objective.type());
    throw InvalidArgument(
        "the objective " + name +
        " is not known on CUDA; add this line to a .cu file of your program, after "
        "#include <sp2dpo/cuda/pair_loss.cuh>: static const "
        "sp2dpo::cuda::Registered<" +
        name + "> registered;");
  }
  launcher(args, objective.data(), stream);
}

}  // namespace sp2dpo::cuda
