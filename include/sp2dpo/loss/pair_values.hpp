// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/detail/host_device.hpp>
#include <sp2dpo/loss/dtype.hpp>

namespace sp2dpo {

/// One number per pair, read as double: a borrowed array of any element type and stride, or a
/// number that stands for all pairs. A null array counts as missing and reads as NaN; calls that
/// can throw refuse it unless they have no pairs.
class PairValues {
 public:
  SP2DPO_HD PairValues(double number) : number_(number) {}  // NOLINT: implicit on purpose
  SP2DPO_HD PairValues(const void* data, DType dtype, std::int64_t stride = 1)
      : data_(data), number_(NAN), stride_(stride), dtype_(dtype), is_array_(true) {}

  /// True for an array whose address is null.
  [[nodiscard]] bool is_missing() const { return is_array_ && data_ == nullptr; }

  [[nodiscard]] SP2DPO_HD double operator[](std::int64_t i) const {
    return data_ == nullptr ? number_ : detail::load(data_, dtype_, i * stride_);
  }

  /// Returns the numbers of the pairs from `first` on.
  [[nodiscard]] PairValues from(std::int64_t first) const {
    PairValues rest = *this;
    if (data_ != nullptr)
      rest.data_ = static_cast<const char*>(data_) +
                   first * stride_ * static_cast<std::int64_t>(size_of(dtype_));
    return rest;
  }

 private:
  const void* data_ = nullptr;
  double number_;
  std::int64_t stride_ = 1;
  DType dtype_ = DType::float64;
  bool is_array_ = false;
};

/// The destination of one number per pair. A default-constructed sink discards it.
class PairSink {
 public:
  PairSink() = default;
  SP2DPO_HD PairSink(void* data, DType dtype, std::int64_t stride = 1)
      : data_(data), stride_(stride), dtype_(dtype) {}

  /// Writes the number of pair i, if the output is wanted.
  SP2DPO_HD void set(std::int64_t i, double value) const {
    if (data_ != nullptr) detail::store(data_, dtype_, i * stride_, value);
  }

  /// Returns the sink of the pairs from `first` on.
  [[nodiscard]] PairSink from(std::int64_t first) const {
    PairSink rest = *this;
    if (data_ != nullptr)
      rest.data_ =
          static_cast<char*>(data_) + first * stride_ * static_cast<std::int64_t>(size_of(dtype_));
    return rest;
  }

  friend bool operator==(const PairSink&, const PairSink&) = default;

 private:
  void* data_ = nullptr;
  std::int64_t stride_ = 1;
  DType dtype_ = DType::float64;
};

/// The inputs of a loss, by pair. Log-probabilities are those of a whole response, in nats.
struct PairInputs {
  PairValues policy_chosen = 0.0;
  PairValues policy_rejected = 0.0;
  PairValues reference_chosen = 0.0;
  PairValues reference_rejected = 0.0;
  PairValues beta = 0.0;
  PairValues margin = 0.0;
  PairValues weight = 1.0;

  /// The inputs of the pairs from `first` on.
  [[nodiscard]] PairInputs from(std::int64_t first) const {
    return {policy_chosen.from(first),
            policy_rejected.from(first),
            reference_chosen.from(first),
            reference_rejected.from(first),
            beta.from(first),
            margin.from(first),
            weight.from(first)};
  }
};

/// The outputs of a loss, by pair. The derivatives are those of `gradient_scale` · Σ weight_i ·
/// value_i, so that a scale of 1/P gives the gradient of the mean.
struct PairOutputs {
  PairSink loss{};  ///< weight · value
  PairSink d_policy_chosen{};
  PairSink d_policy_rejected{};
  PairSink d_beta{};
  PairSink d_margin{};
  PairSink chosen_reward{};    ///< beta · (policy − reference) of the chosen response
  PairSink rejected_reward{};  ///< beta · (policy − reference) of the rejected one
  PairSink delta{};            ///< the log-ratio margin: delta_chosen − delta_rejected
  double gradient_scale = 1;

  /// The outputs of the pairs from `first` on.
  [[nodiscard]] PairOutputs from(std::int64_t first) const {
    return {loss.from(first),
            d_policy_chosen.from(first),
            d_policy_rejected.from(first),
            d_beta.from(first),
            d_margin.from(first),
            chosen_reward.from(first),
            rejected_reward.from(first),
            delta.from(first),
            gradient_scale};
  }

  /// Writes `value` to every output of pair i.
  SP2DPO_HD void set_all(std::int64_t i, double value) const {
    for (const PairSink* sink : {&loss, &d_policy_chosen, &d_policy_rejected, &d_beta, &d_margin,
                                 &chosen_reward, &rejected_reward, &delta})
      sink->set(i, value);
  }
};

namespace detail {

/// Throws InvalidArgument, in the name of `call`, if `values` is a null array.
inline void require_values(const char* call, const char* owner, const char* name,
                           const PairValues& values) {
  if (values.is_missing())
    throw InvalidArgument(std::string(call) + ": " + owner + name +
                          " is null; expected a number, or one value per pair");
}

/// Throws likewise for each member of `in`, which messages call `owner` and the member's name.
inline void require_inputs(const char* call, const char* owner, const PairInputs& in) {
  require_values(call, owner, "policy_chosen", in.policy_chosen);
  require_values(call, owner, "policy_rejected", in.policy_rejected);
  require_values(call, owner, "reference_chosen", in.reference_chosen);
  require_values(call, owner, "reference_rejected", in.reference_rejected);
  require_values(call, owner, "beta", in.beta);
  require_values(call, owner, "margin", in.margin);
  require_values(call, owner, "weight", in.weight);
}

}  // namespace detail
}  // namespace sp2dpo
