// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include <sp2dpo/loss/detail/host_device.hpp>

namespace sp2dpo::detail {

/// A dual number value + slope · ε with ε² = 0: a function of it computes its own derivative. At an
/// objective's kink, the branch taken decides.
struct Dual {
  double value = 0;
  double slope = 0;

  Dual() = default;
  SP2DPO_HD Dual(double number, double along = 0) : value(number), slope(along) {}  // NOLINT

  SP2DPO_HD friend Dual operator-(Dual a) { return {-a.value, -a.slope}; }
  SP2DPO_HD friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
  SP2DPO_HD friend Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
  SP2DPO_HD friend Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  SP2DPO_HD friend Dual operator/(Dual a, Dual b) {
    const double quotient = a.value / b.value;
    return {quotient, (a.slope - quotient * b.slope) / b.value};
  }
  SP2DPO_HD Dual& operator+=(Dual other) { return *this = *this + other; }
  SP2DPO_HD Dual& operator-=(Dual other) { return *this = *this - other; }
  SP2DPO_HD Dual& operator*=(Dual other) { return *this = *this * other; }
  SP2DPO_HD Dual& operator/=(Dual other) { return *this = *this / other; }

  SP2DPO_HD friend bool operator==(Dual a, Dual b) { return a.value == b.value; }
  SP2DPO_HD friend bool operator<(Dual a, Dual b) { return a.value < b.value; }
  SP2DPO_HD friend bool operator>(Dual a, Dual b) { return a.value > b.value; }
  SP2DPO_HD friend bool operator<=(Dual a, Dual b) { return a.value <= b.value; }
  SP2DPO_HD friend bool operator>=(Dual a, Dual b) { return a.value >= b.value; }

  SP2DPO_HD friend Dual exp(Dual x) {
    const double y = std::exp(x.value);
    return {y, y * x.slope};
  }
  SP2DPO_HD friend Dual expm1(Dual x) { return {std::expm1(x.value), std::exp(x.value) * x.slope}; }
  SP2DPO_HD friend Dual log(Dual x) { return {std::log(x.value), x.slope / x.value}; }
  SP2DPO_HD friend Dual log1p(Dual x) { return {std::log1p(x.value), x.slope / (1 + x.value)}; }
  SP2DPO_HD friend Dual tanh(Dual x) {
    const double y = std::tanh(x.value);
    return {y, (1 - y * y) * x.slope};
  }
  SP2DPO_HD friend Dual sqrt(Dual x) {
    const double y = std::sqrt(x.value);
    return {y, x.slope / (2 * y)};
  }
  SP2DPO_HD friend Dual pow(Dual x, double power) {
    return {std::pow(x.value, power), power * std::pow(x.value, power - 1) * x.slope};
  }
  // At 0 this takes the branch x >= 0, like the formulas that use it.
  SP2DPO_HD friend Dual fabs(Dual x) { return x < 0 ? -x : x; }
  SP2DPO_HD friend Dual abs(Dual x) { return fabs(x); }
  SP2DPO_HD friend Dual fmax(Dual a, Dual b) { return a < b || a.value != a.value ? b : a; }
  SP2DPO_HD friend Dual fmin(Dual a, Dual b) { return a > b || a.value != a.value ? b : a; }
};

}  // namespace sp2dpo::detail
