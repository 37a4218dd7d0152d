// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/loss/pair_rows.hpp>

namespace sp2dpo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

using Numbers = std::vector<std::int64_t>;

Numbers rows_of(const PairRows& rows, std::int64_t pair, PairRows::Side side) {
  const RowSelection selected = rows.select(pair, side);
  Numbers numbers;
  for (std::int64_t i = 0; i < selected.count; ++i) numbers.push_back(selected[i]);
  return numbers;
}

/// Four sequences of three rows; -100 masks.
const Numbers labels{1, 2, -100, -100, 4, 5, 7, -100, 9, -100, -100, 3};

TEST(PairRows, ArePairedInHalvesWithoutMaskedRows) {
  const PairRows rows({.count = 4, .length = 3}, {.label = labels.data()}, 12);
  ASSERT_EQ(rows.pairs(), 2);
  EXPECT_THAT(rows_of(rows, 0, PairRows::chosen), ElementsAre(0, 1));
  EXPECT_THAT(rows_of(rows, 0, PairRows::rejected), ElementsAre(6, 8));
  EXPECT_THAT(rows_of(rows, 1, PairRows::chosen), ElementsAre(4, 5));
  EXPECT_THAT(rows_of(rows, 1, PairRows::rejected), ElementsAre(11));
  EXPECT_THAT(rows.rows(), ElementsAre(0, 1, 6, 8, 4, 5, 11));
  EXPECT_THAT(rows.others(12), ElementsAre(2, 3, 7, 9, 10));
  EXPECT_EQ(rows.select(0, 2).count, 7);
  EXPECT_EQ(rows.select(1, 2)[0], 4);
}

TEST(PairRows, ArePairedInterleaved) {
  const PairRows rows({.count = 4, .length = 3, .layout = Sequences::Layout::interleaved},
                      {.label = labels.data()}, 12);
  EXPECT_THAT(rows_of(rows, 0, PairRows::rejected), ElementsAre(4, 5));
  EXPECT_THAT(rows_of(rows, 1, PairRows::chosen), ElementsAre(6, 8));
}

TEST(PairRows, ArePairedByListsAndLeaveOutOtherSequences) {
  const Numbers chosen{3};
  const Numbers rejected{1};
  const PairRows rows({.count = 4,
                       .length = 3,
                       .layout = Sequences::Layout::listed,
                       .chosen = chosen.data(),
                       .rejected = rejected.data(),
                       .pairs = 1},
                      {.label = labels.data()}, 12);
  ASSERT_EQ(rows.pairs(), 1);
  EXPECT_THAT(rows_of(rows, 0, PairRows::chosen), ElementsAre(11));
  EXPECT_THAT(rows_of(rows, 0, PairRows::rejected), ElementsAre(4, 5));
}

TEST(PairRows, FollowTheBoundsOfPackedSequences) {
  const Numbers bounds{0, 1, 1, 5, 12};
  const PairRows rows({.count = 4, .cu_seqlens = bounds.data()}, {.label = labels.data()}, 12);
  EXPECT_THAT(rows_of(rows, 0, PairRows::chosen), ElementsAre(0));
  EXPECT_THAT(rows_of(rows, 0, PairRows::rejected), ElementsAre(1, 4));
  EXPECT_THAT(rows_of(rows, 1, PairRows::chosen), IsEmpty());
  EXPECT_TRUE(rows.complete(0));
  EXPECT_FALSE(rows.complete(1));
}

TEST(PairRows, NameTheErrorInTheSequences) {
  const auto make = [](Sequences sequences) {
    return [sequences] { (void)PairRows(sequences, {.label = labels.data()}, 12); };
  };
  const auto refused = [](const char* words) {
    return ThrowsMessage<InvalidArgument>(HasSubstr(words));
  };
  EXPECT_THAT(make({.count = 3, .length = 4}), refused("3 sequences"));
  EXPECT_THAT(make({.count = 4, .length = 2}), refused("from 0 to 8; expected 0 to 12"));
  const Numbers falling{0, 5, 3, 6, 12};
  EXPECT_THAT(make({.count = 4, .cu_seqlens = falling.data()}), refused("falls from 5 to 3"));

  const Numbers chosen{0, 1};
  for (const auto& [second, words] : {std::pair{4, "sequence 4 is outside [0, 4)"},
                                      {-1, "sequence -1 is outside [0, 4)"},
                                      {0, "sequence 0 belongs to two pairs"}}) {
    const Numbers rejected{2, second};
    EXPECT_THAT(make({.count = 4,
                      .length = 3,
                      .layout = Sequences::Layout::listed,
                      .chosen = chosen.data(),
                      .rejected = rejected.data(),
                      .pairs = 2}),
                refused(words));
  }
}

TEST(SequenceLogProb, IsTheSumOrMeanOverTheRowsAndZeroWithoutRows) {
  const double row_log_prob[] = {-1, -20, -3};
  const std::int64_t list[] = {2, 0};
  EXPECT_EQ(sequence_log_prob({.count = 2, .list = list}, row_log_prob, false), -4);
  EXPECT_EQ(sequence_log_prob({.count = 2, .list = list}, row_log_prob, true), -2);
  EXPECT_EQ(sequence_log_prob({}, row_log_prob, true), 0);
}

}  // namespace
}  // namespace sp2dpo
