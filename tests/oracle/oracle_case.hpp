// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo {

using InTrl = testing::Types<Sigmoid, Hinge, Ipo, ExoPair, NcaPair, Robust, BcoPair, SppoHard,
                             ApoZero, ApoDown, DiscoPop, SigmoidNorm>;
using InLiger = testing::Types<Sigmoid, Hinge, ExoPair, NcaPair, Robust, BcoPair, SppoHard, ApoZero,
                               ApoDown, DiscoPop>;

/// The inputs and outputs of one loss, as generate.py wrote them.
class OracleCase {
 public:
  /// Reads the file of `loss` in `library`, which is trl or liger.
  OracleCase(const std::string& library, const std::string& loss)
      : path_(SP2DPO_ORACLE_DATA "/" + library + "_" + loss + ".txt") {
    std::ifstream file(path_);
    std::string name;
    for (std::size_t count = 0; file >> name >> count;) {
      std::vector<double> values(count);
      for (double& value : values) file >> value;
      values_[name] = values;
    }
    if (!file.eof()) values_.clear();
  }

  [[nodiscard]] bool missing() const { return values_.empty(); }
  [[nodiscard]] std::string why() const {
    return path_ + " is missing; tests/oracle/generate.py writes it if TRL is installed";
  }
  [[nodiscard]] const std::vector<double>& operator[](const std::string& name) const {
    return values_.at(name);
  }

  template <class Objective>
  [[nodiscard]] Objective objective() const {
    Objective objective;
    if constexpr (requires { objective.label_smoothing; })
      objective.label_smoothing = values_.at("label_smoothing")[0];
    return objective;
  }

 private:
  std::string path_;
  std::map<std::string, std::vector<double>> values_;
};

/// Expects a distance of at most `tolerance` times the largest expected number, or times 1.
inline void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                         double tolerance, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double scale = 1;
  for (const double value : expected) scale = std::fmax(scale, std::fabs(value));
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], tolerance * scale) << what << ", number " << i;
}

}  // namespace sp2dpo
