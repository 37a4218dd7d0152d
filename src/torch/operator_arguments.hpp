// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fields.hpp"
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/torch/loss.hpp>

/// Kernels of the operators are boxed, so that a schema is the only list of an operator's
/// arguments. Kernels read them by name.
namespace sp2dpo::operators {

using at::Tensor;
using c10::IValue;
using c10::OperatorHandle;
using torch::jit::Stack;

/// The arguments of a boxed call, at the end of the stack. For one thread at a time.
class Arguments {
 public:
  Arguments(const OperatorHandle& op, Stack* stack) : schema_(op.schema()), stack_(*stack) {}

  [[nodiscard]] bool has(const char* name) const {
    return schema_.argumentIndexWithName(name).has_value();
  }
  [[nodiscard]] std::size_t index(const char* name) const {
    const auto found = schema_.argumentIndexWithName(name);
    TORCH_INTERNAL_ASSERT(found, schema_, " has no argument ", name);
    return static_cast<std::size_t>(*found);
  }
  [[nodiscard]] IValue& operator[](const char* name) const {
    return stack_[stack_.size() - schema_.arguments().size() + index(name)];
  }
  /// Returns an undefined tensor for None.
  [[nodiscard]] Tensor tensor(const char* name) const {
    const IValue& value = (*this)[name];
    return value.isNone() ? Tensor() : value.toTensor();
  }
  [[nodiscard]] std::optional<double> number(const char* name) const {
    const IValue& value = (*this)[name];
    return value.isNone() ? std::nullopt : std::optional(value.toDouble());
  }
  [[nodiscard]] std::optional<std::int64_t> integer(const char* name) const {
    const IValue& value = (*this)[name];
    return value.isNone() ? std::nullopt : std::optional(value.toInt());
  }
  [[nodiscard]] std::string text(const char* name) const { return (*this)[name].toStringRef(); }

  [[nodiscard]] Stack all() const {
    return {stack_.end() - static_cast<std::ptrdiff_t>(schema_.arguments().size()), stack_.end()};
  }

  /// Replaces the arguments by the results.
  void give(const std::vector<Tensor>& results) const {
    stack_.resize(stack_.size() - schema_.arguments().size());
    stack_.insert(stack_.end(), results.begin(), results.end());
  }
  template <class Results>
  void give(const Results& results) const {
    give(pack(results));
  }

 private:
  const c10::FunctionSchema& schema_;
  Stack& stack_;
};

/// Calls the operator of that name through the dispatcher.
std::vector<Tensor> call(const char* name, Stack arguments);
template <class Results>
Results call(const char* name, Stack arguments) {
  return unpack<Results>(call(name, std::move(arguments)));
}

/// Each returns an operator's arguments in the terms of Loss, and throws c10::Error for an unknown
/// choice.
AnyObjective objective_of(const Arguments& arguments);
Reduction reduction_of(const Arguments& arguments);
LossOptions options_of(const Arguments& arguments);
Controls controls_of(const Arguments& arguments);
/// Returns log-probabilities of whole responses: means if `averaged`, like the policy's.
Reference reference_of(const Arguments& arguments, bool averaged);
PairLayout layout_of(const Arguments& arguments);

/// Throws c10::Error if the weight, a constant, requires a gradient.
void check_weight(const Arguments& arguments);

}  // namespace sp2dpo::operators
