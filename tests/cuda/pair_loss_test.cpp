// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/loss/built_in_objectives.hpp>

namespace sp2dpo::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Tests without a device. The kernels call pair_step, which tests/loss compares with references.

TEST(CudaPairLoss, ReturnsAtOnceForNoPairs) {
  pair_loss({}, Sigmoid{}, nullptr);
}

TEST(CudaPairLoss, NeedsWorkspaceOnlyBeyond4096Pairs) {
  EXPECT_EQ(pair_loss_workspace(1), 0u);
  EXPECT_EQ(pair_loss_workspace(4096), 0u);
  EXPECT_EQ(pair_loss_workspace(4097), 9 * sizeof(double));  // 9 blocks of 512
  EXPECT_EQ(pair_loss_workspace(std::int64_t{1} << 40), 1024 * sizeof(double));
}

TEST(CudaPairLoss, StatesTheWorkspaceItNeeds) {
  EXPECT_THAT(
      [] { pair_loss({.pairs = 5000}, Sigmoid{}, nullptr); },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("5000 pairs"), HasSubstr("80 bytes"))));
  EXPECT_THAT([] { pair_loss({.pairs = -1}, Sigmoid{}, nullptr); },
              ThrowsMessage<InvalidArgument>(HasSubstr("-1")));
}

struct Unregistered {
  ZTerm<double> operator()(double z) const { return {z, 1}; }
};

TEST(CudaPairLoss, NamesTheLineThatACustomObjectiveLacks) {
  EXPECT_THAT([] { pair_loss(PairLossArgs{}, AnyObjective(Unregistered{}), nullptr); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("Unregistered"), HasSubstr("sp2dpo::cuda::Registered<"))));
}

TEST(CudaPairLoss, KnowsTheLibrarysOwnObjectives) {
  const auto launch_all = []<class... O>(ObjectiveList<O...>) {
    (pair_loss(PairLossArgs{}, AnyObjective(O{}), nullptr), ...);
  };
  EXPECT_NO_THROW(launch_all(BuiltInObjectives()));
}

}  // namespace
}  // namespace sp2dpo::cuda
