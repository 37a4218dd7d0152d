// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <sp2dpo/torch/schedule.hpp>

namespace sp2dpo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Schedule three_pairs() {
  return Schedule({{.id = "a", .beta = 0.03}, {.id = "b", .beta = 0.1}, {.id = "c", .beta = 0.3}});
}

TEST(BetaTensor, JoinsByPairIdInTheOrderOfTheBatch) {
  const std::vector<std::string> ids{"c", "a"};
  const auto beta = beta_tensor(three_pairs(), ids);
  EXPECT_EQ(beta.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::equal(beta, at::tensor({0.3, 0.03}, at::kDouble)));
}

TEST(BetaTensor, HasTheTypeThatIsAskedFor) {
  const std::vector<std::string> ids{"b"};
  const auto beta = beta_tensor(three_pairs(), ids, at::kFloat);
  EXPECT_EQ(beta.scalar_type(), at::kFloat);
  EXPECT_EQ(beta.item<float>(), 0.1f);
  EXPECT_TRUE(
      at::equal(beta_tensor(three_pairs(), ids, at::kDouble), beta_tensor(three_pairs(), ids)));
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kLong})
    EXPECT_THAT([&] { (void)beta_tensor(three_pairs(), ids, dtype); },
                ThrowsMessage<InvalidArgument>(HasSubstr("expected float64 or float32")));
}

TEST(WeightTensor, JoinsTheWeightsOfAWeightedSchedule) {
  const Schedule weighted(
      {{.id = "a", .beta = 0.1, .weight = 0.5}, {.id = "b", .beta = 0.1, .weight = 1.5}});
  const std::vector<std::string> ids{"b", "a"};
  EXPECT_TRUE(at::equal(weight_tensor(weighted, ids), at::tensor({1.5, 0.5}, at::kDouble)));
  EXPECT_THAT([&] { (void)weight_tensor(three_pairs(), ids); },
              ThrowsMessage<InvalidArgument>(HasSubstr("has no weights")));
}

TEST(BetaTensor, RefusesAMissingOrDuplicateId) {
  const auto schedule = three_pairs();
  const std::vector<std::string> missing{"a", "z"};
  EXPECT_THAT([&] { (void)beta_tensor(schedule, missing); },
              ThrowsMessage<InvalidArgument>(HasSubstr("pair z is not in the schedule")));
  const std::vector<std::string> doubled{"a", "b", "a"};
  EXPECT_THAT([&] { (void)beta_tensor(schedule, doubled); },
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("pair a"), HasSubstr("duplicate"))));
}

}  // namespace
}  // namespace sp2dpo
