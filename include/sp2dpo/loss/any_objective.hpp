// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <typeinfo>

#include <sp2dpo/loss/detail/type_name.hpp>
#include <sp2dpo/loss/pair_curvature.hpp>
#include <sp2dpo/loss/pair_loss.hpp>

namespace sp2dpo {

/// An objective with its type erased: its bytes and the functions made for it. Compiled code calls
/// the pair loop by pointer once per batch, and so serves objectives that it was not compiled with.
/// Several threads may use one object, since nothing changes it.
class AnyObjective {
 public:
  template <PairObjective Objective>
  AnyObjective(const Objective& objective)  // NOLINT: implicit on purpose
      : functions_(&functions_of<Objective>) {
    static_assert(sizeof(Objective) <= capacity && alignof(Objective) <= alignof(std::max_align_t),
                  "an objective holds at most 64 bytes of parameters");
    // The only byte of an empty objective is padding, which is never written.
    if constexpr (!std::is_empty_v<Objective>) std::memcpy(bytes_, &objective, sizeof(Objective));
  }

  /// Calls sp2dpo::pair_loss for the pairs in [begin, end).
  double pair_loss(const PairInputs& in, const PairOutputs& out, std::int64_t begin,
                   std::int64_t end) const {
    return functions_->pair_loss(bytes_, in, out, begin, end);
  }

  /// Returns whether pair_curvature may be called: the objective takes dual numbers.
  [[nodiscard]] bool twice_differentiable() const noexcept {
    return functions_->pair_curvature != nullptr;
  }
  /// Calls sp2dpo::pair_curvature. Requires twice_differentiable().
  double pair_curvature(const PairInputs& in, const PairDirection& direction,
                        const PairOutputs& out, std::int64_t begin, std::int64_t end) const {
    return functions_->pair_curvature(bytes_, in, direction, out, begin, end);
  }

  /// Returns the objective's `name`, or the name of its type.
  [[nodiscard]] std::string name() const { return functions_->name(); }
  /// Returns what is wrong with the objective's parameters, naming the objective, or "".
  [[nodiscard]] std::string complaint() const { return functions_->complaint(bytes_); }
  /// Returns whether the slopes of chosen and rejected are opposite numbers by construction.
  [[nodiscard]] bool is_function_of_z() const noexcept { return functions_->is_function_of_z; }
  /// True if the loss depends on PairInputs::margin.
  [[nodiscard]] bool takes_margin() const noexcept { return functions_->takes_margin; }
  /// True if the loss expects log-probabilities averaged over tokens.
  [[nodiscard]] bool averages_log_probs() const noexcept { return functions_->averages_log_probs; }

  /// The type of the objective held.
  [[nodiscard]] const std::type_info& type() const noexcept { return *functions_->type; }
  /// The objective held, of that type.
  [[nodiscard]] const void* data() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t capacity = 64;

  struct Functions {
    double (*pair_loss)(const void*, const PairInputs&, const PairOutputs&, std::int64_t,
                        std::int64_t);
    double (*pair_curvature)(const void*, const PairInputs&, const PairDirection&,
                             const PairOutputs&, std::int64_t, std::int64_t);
    std::string (*name)();
    std::string (*complaint)(const void*);
    const std::type_info* type;
    bool is_function_of_z, takes_margin, averages_log_probs;
  };

  template <class Objective>
  static double pair_loss_of(const void* self, const PairInputs& in, const PairOutputs& out,
                             std::int64_t begin, std::int64_t end) {
    return sp2dpo::pair_loss(in, out, begin, end, *static_cast<const Objective*>(self));
  }

  template <class Objective>
  static double pair_curvature_of(const void* self, const PairInputs& in,
                                  const PairDirection& direction, const PairOutputs& out,
                                  std::int64_t begin, std::int64_t end) {
    return sp2dpo::pair_curvature(in, direction, out, begin, end,
                                  *static_cast<const Objective*>(self));
  }

  template <class Objective>
  static std::string name_of() {
    if constexpr (requires { std::string(Objective::name); }) {
      return Objective::name;
    } else {
      return detail::type_name(typeid(Objective));
    }
  }

  template <class Objective>
  static std::string complaint_of(const void* self) {
    if constexpr (requires(const Objective& o) { std::string(o.complaint()); }) {
      const std::string text = static_cast<const Objective*>(self)->complaint();
      return text.empty() ? text : name_of<Objective>() + ": " + text;
    } else {
      return {};
    }
  }

  template <class Objective>
  static constexpr Functions make_functions() {
    Functions functions{pair_loss_of<Objective>,
                        nullptr,
                        name_of<Objective>,
                        complaint_of<Objective>,
                        &typeid(Objective),
                        ZObjective<Objective>,
                        sp2dpo::takes_margin<Objective>,
                        sp2dpo::averages_log_probs<Objective>};
    if constexpr (TwiceDifferentiable<Objective>)
      functions.pair_curvature = pair_curvature_of<Objective>;
    return functions;
  }

  template <class Objective>
  static constexpr Functions functions_of = make_functions<Objective>();

  alignas(std::max_align_t) std::byte bytes_[capacity]{};
  const Functions* functions_;
};

}  // namespace sp2dpo
