// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>

/// Small correct kernels, and variants with one fault each that this library's kernels could have.
/// An interpreter that misses one has stopped checking.
namespace sp2dpo::ptx {

enum class Bug {
  none,
  no_barrier_before_label,
  label_never_written,
  unaligned_load,
  loop_too_long,
  stride_too_small,
  store_one_row_on,
  store_past_end,
  last_never_written,
  half_a_warp,
  thread_leaves_early,
  divergent_barrier,
  warp_barrier_for_block,
  barrier_in_one_warp,
  no_barrier_before_total,
  mask_of_all_in_half_a_warp,
  source_outside_mask,
  all_blocks_write_one_place,
  wrong_opcode,
  no_warp_barrier,
  no_warp_barrier_after_reads,
  plain_addition_for_atomic,
  block_barrier_for_cluster,
  rank_too_large,
  no_last_cluster_barrier,
};
inline constexpr int bug_count = static_cast<int>(Bug::no_last_cluster_barrier) + 1;

/// Launches the four kernels with the fault, as far as a kernel can have it.
struct Mutant {
  Bug bug;
  void (*rows)(float* rows, const int* labels, float* sums, float* at_label, int count,
               int columns);
  void (*pairs)(unsigned* words);  ///< 64 pairs
  void (*count)(unsigned* count);  ///< of 192 threads
  void (*clusters)(int* sums);     ///< of 8 blocks, clusters of 4
};

const std::array<Mutant, bug_count>& mutants();

}  // namespace sp2dpo::ptx
