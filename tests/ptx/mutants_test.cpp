// SPDX-License-Identifier: Apache-2.0
#include "mutants.hpp"

#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include "ptx/schedules.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::ptx {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::IsEmpty;

constexpr int rows = 3, columns = 600;
const std::vector<int> labels{0, 301, 599};

float value(int row, int column) {
  return static_cast<float>((row * 37 + column * 13) % 64) + 0.5f;
}

/// Returns "" if the results are correct.
std::string run_rows(const Mutant& mutant) {
  std::vector<float> values;
  for (int i = 0; i < rows * columns; ++i) values.push_back(value(i / columns, i % columns));
  const DeviceArray<float> data(values);
  const DeviceArray<int> device_labels(labels);
  // One element more, which a kernel may add to.
  const DeviceArray<float> sums(std::vector<float>(rows + 1)), at_label(rows);
  mutant.rows(data.data(), device_labels.data(), sums.data(), at_label.data(), rows, columns);
  const auto sum = sums.get(), label = at_label.get(), doubled = data.get();
  for (int row = 0; row < rows; ++row) {
    float wanted = 0;
    for (int column = 0; column < columns; ++column) {
      if (column != labels[row]) wanted += value(row, column);
      if (doubled[row * columns + column] != 2 * value(row, column)) return "a wrong element";
    }
    if (sum[row] != wanted) return "a wrong sum";
    if (label[row] != value(row, labels[row])) return "a wrong label";
  }
  return {};
}

std::string run_pairs(const Mutant& mutant) {
  std::vector<unsigned> words;
  for (unsigned i = 0; i < 64; ++i) {
    words.push_back(0x3f80c000u + i);  // 1 and −2, and a little more
    words.push_back(0x40003f00u + i);  // 2 and 0.5
  }
  const DeviceArray<unsigned> data(words);
  mutant.pairs(data.data());
  const auto results = data.get();
  for (unsigned i = 0; i < 64; ++i)
    if (results[2 * i] != 0x40003f00u + i) return "a wrong word";
  return {};
}

std::string run_count(const Mutant& mutant) {
  const DeviceArray<unsigned> count(std::vector<unsigned>{0});
  mutant.count(count.data());
  return count.get()[0] == 192 ? "" : "a wrong count";
}

std::string run_clusters(const Mutant& mutant) {
  const DeviceArray<int> sums(8);
  mutant.clusters(sums.data());
  for (const int sum : sums.get())
    if (sum != 1 + 2 + 3 + 4) return "a wrong sum of ranks";
  return {};
}

/// Returns all findings of the four kernels, and a word for each wrong result.
std::vector<std::string> show(const Mutant& mutant) {
  std::vector<std::string> wrong;
  for (const auto run : {run_rows, run_pairs, run_count, run_clusters})
    if (auto text = run(mutant); !text.empty()) wrong.push_back(std::move(text));
  auto findings = device().findings().take();
  findings.insert(findings.end(), wrong.begin(), wrong.end());
  return findings;
}

const Mutant& mutant(Bug bug) {
  return mutants()[static_cast<std::size_t>(bug)];
}

TEST(PtxMutantsOnEveryDevice, WithoutAFaultGiveNoFinding) {
  for_each_schedule([] { EXPECT_THAT(show(mutant(Bug::none)), IsEmpty()); });
}

/// "mutants.cu:37", where the first line with `text` is the 37th.
std::string line_with(const std::string& text) {
  std::ifstream file(SP2DPO_SOURCE_DIR "/tests/ptx/mutants.cu");
  int number = 1;
  std::string line;
  while (std::getline(file, line) && line.find(text) == std::string::npos) ++number;
  return "mutants.cu:" + std::to_string(number);
}

TEST(PtxMutantsOnEveryDevice, AreReportedWithTheirPlace) {
  struct {
    Bug bug;
    std::string what, source;
  } const cases[] = {
      {Bug::store_past_end,
       "block 0 thread 0: bytes 16 to 20, at ADDRESS, are out of bounds of "
       "allocation of 16 bytes at ADDRESS",
       line_with("sums[at + past")},
      {Bug::unaligned_load,
       "thread [0-9]+: the address is not aligned to 16 bytes, at ADDRESS, byte "
       "[0-9]+ of allocation of 7200 bytes at ADDRESS",
       line_with("float4 v = ")},
      {Bug::all_blocks_write_one_place,
       "block [0-9]+ thread 0: race with a write by block [0-9]+ thread 0, at ADDRESS, byte 0 of "
       "allocation of 16 bytes at ADDRESS",
       line_with("sums[at + past")},
      {Bug::divergent_barrier,
       "block 0 thread [0-9]+: waits at a different barrier than block 0 thread [0-9]+, which "
       "waits at "
       "line [0-9]+ of the PTX for sm_90 .mutants.cu:[0-9]+.",
       "mutants.cu:[0-9]+"}};
  for (const auto& [bug, what, source] : cases) {
    std::string pattern = "row_kernel<.sp2dpo::ptx::Bug.[0-9]+>: .*" + what +
                          ": `[a-z][^`]*`, line [0-9]+ of the PTX for sm_90 ." + source + ".$";
    for (std::size_t at; (at = pattern.find("ADDRESS")) != std::string::npos;)
      pattern.replace(at, 7, "0x[0-9a-f]+");
    EXPECT_THAT(show(mutant(bug)), Contains(ContainsRegex(pattern)));
  }
}

struct Case {
  Bug bug;
  const char* words;  ///< a pattern that a finding must match
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << "bug " << static_cast<int>(c.bug) << ", must give \"" << c.words << '"';
}

class PtxMutantOnEveryDevice : public testing::TestWithParam<Case> {};

TEST_P(PtxMutantOnEveryDevice, IsFoundUnderEverySchedule) {
  for_each_schedule(
      [] { EXPECT_THAT(show(mutant(GetParam().bug)), Contains(ContainsRegex(GetParam().words))); });
}

INSTANTIATE_TEST_SUITE_P(
    , PtxMutantOnEveryDevice,
    testing::Values(Case{Bug::no_barrier_before_label, "race with a write"},
                    Case{Bug::label_never_written, "uninitialised memory"},
                    Case{Bug::unaligned_load, "not aligned to 16 bytes"},
                    Case{Bug::loop_too_long, "race|out of bounds of allocation of 7200 bytes"},
                    Case{Bug::stride_too_small, "race"},
                    Case{Bug::store_one_row_on, "race|out of bounds"},
                    Case{Bug::store_past_end, "out of bounds of allocation of 16 bytes"},
                    Case{Bug::last_never_written, "a copy reads uninitialised memory"},
                    Case{Bug::half_a_warp, "a wrong sum"},
                    Case{Bug::thread_leaves_early, "threads of the block have exited"},
                    Case{Bug::divergent_barrier, "at a different barrier"},
                    Case{Bug::warp_barrier_for_block, "race"},
                    Case{Bug::barrier_in_one_warp, "threads of the block have exited"},
                    Case{Bug::no_barrier_before_total, "race"},
                    Case{Bug::mask_of_all_in_half_a_warp, "deadlock"},
                    Case{Bug::source_outside_mask, "not in the mask 0xffff"},
                    Case{Bug::all_blocks_write_one_place, "race with a write by block"},
                    Case{Bug::wrong_opcode, "a wrong word"},
                    Case{Bug::no_warp_barrier, "race|uninitialised memory"},
                    Case{Bug::no_warp_barrier_after_reads, "race"},
                    Case{Bug::plain_addition_for_atomic, "race"},
                    Case{Bug::block_barrier_for_cluster, "race"},
                    Case{Bug::rank_too_large, "not an address of device memory"},
                    Case{Bug::no_last_cluster_barrier, "shared memory"}));

}  // namespace
}  // namespace sp2dpo::ptx
