// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <type_traits>

#include "row_gradient.cuh"
#include <cooperative_groups.h>

#include <sp2dpo/cuda/check.cuh>

namespace sp2dpo::cuda {
namespace {

constexpr int held = 8;  // vectors that a thread keeps in registers
constexpr int largest_cluster = 8;

template <class Element>
constexpr std::int64_t block_capacity = std::int64_t{held} * row_threads* per_vector<Element>;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
/// Loads the vectors begin, begin + row_threads and so on that lie before `end`.
template <class Element>
__device__ __forceinline__ void load_vectors(const uint4* from, int begin, int end,
                                             uint4 (&v)[held]) {
#pragma unroll
  for (int u = 0; u < held; ++u) {
    const int i = begin + u * row_threads;
    v[u] = i < end ? __ldcs(from + i) : nothing<Element>();
  }
}

/// Returns `sum` plus the sum of these vectors' elements.
template <class Element>
__device__ __forceinline__ float plain_sum_from(float sum, int begin, int end, uint4 (&v)[held]) {
#pragma unroll
  for (int u = 0; u < held; ++u)
    if (begin + u * row_threads < end) sum += plain_sum<Element>(v[u]);
  return sum;
}

/// Replaces the label by −inf. Slots past the part's end have no label, although their indices
/// continue into the next part.
template <class Element>
__device__ __forceinline__ void remove_label(const LabelPlace& place, int begin, int end,
                                             uint4 (&v)[held]) {
#pragma unroll
  for (int u = 0; u < held; ++u) {
    const int i = begin + u * row_threads;
    if (i == place.vector && i < end)
      set_element<Element>(v[u], place.place, Element::minus_infinity);
  }
}

/// Takes one row per cluster. Each block keeps its part of the row in registers as loaded and
/// computes the exponentials twice, which costs less than keeping them in float.
template <class Element, bool with_plain>
__device__ void do_row(const launch::RowPass& pass) {
  namespace cg = cooperative_groups;
  using Memory = typename Element::Memory;
  const cg::cluster_group cluster = cg::this_cluster();
  const Part part{static_cast<int>(cluster.block_rank()), static_cast<int>(cluster.num_blocks())};
  const std::int64_t row = pass.selection[blockIdx.x / cluster.num_blocks()];
  const std::int64_t label = pass.labels.label[row];
  const int thread = static_cast<int>(threadIdx.x);
  auto* const out = static_cast<Memory*>(pass.gradient.data) + pass.gradient.layout.offset(row);
  if (label == pass.labels.ignored) {  // in all blocks of the cluster, so none waits
    if (part.is_first() && thread == 0) write_statistics(pass, row, label, 0, 0, 0);
    if (pass.masked == MaskedRows::zero) write_zeros<Element>(out, 0, columns(pass.logits), part);
    return;
  }

  const auto* const in =
      static_cast<const Memory*>(pass.logits.data) + pass.logits.layout.offset(row);
  const Span span = Span::of<Element>(in, pass.logits.vocab);
  const LabelPlace place = LabelPlace::of<Element>(span, label);
  const auto* const from = reinterpret_cast<const uint4*>(in + span.head);
  const int begin = static_cast<int>(part.begin(span.vectors)) + thread;
  const int end = static_cast<int>(part.end(span.vectors));
  uint4 v[held];
  load_vectors<Element>(from, begin, end, v);
  // A block has at most one single element per thread, at either end of the row.
  int single = -1;
  if (part.is_first() && thread < span.head) single = thread;
  if (part.is_last() && thread >= row_threads - span.tail)
    single = static_cast<int>(pass.logits.vocab) - row_threads + thread;
  const float x = single >= 0 ? Element::load(in + single) : 0;

  ExpSum sum;
  if constexpr (with_plain)
    sum.plain = static_cast<double>(plain_sum_from<Element>(x, begin, end, v));
  remove_label<Element>(place, begin, end, v);
  sum.add<Element>(v);
  if (single >= 0 && single != label) sum.add(x);
  sum = block_total<with_plain>(sum);

  __shared__ launch::PartialSum of_block, of_row;
  __shared__ launch::StoredScale shared;
  __shared__ double z;
  if (thread == 0) {
    of_block = sum;
    // Before the cluster's barrier: after it, the label's block may overwrite it.
    z = label_logit<Element>(pass, row, label);
  }
  cluster.sync();
  if (thread == 0) {
    ExpSum total;
    for (unsigned block = 0; block < cluster.num_blocks(); ++block)
      total.add(*cluster.map_shared_rank(&of_block, block));
    of_row = total;
    shared = RowScale::of(pass.coefficient[row], total, z);
  }
  cluster.sync();  // also: no block leaves while others read its shared memory
  const RowScale scale{shared};
  // Coefficient 0: gradient 0, even where a logit is NaN. A branch would cost registers and spill.
  const bool is_zero = scale.scale == 0 && scale.at_label == 0;
  const std::uint32_t label_bits = element_bits<Element>(scale.at_label);
  auto* const to = reinterpret_cast<uint4*>(out + span.head);
#pragma unroll
  for (int u = 0; u < held; ++u) {
    const int i = begin + u * row_threads;
    scale.apply<Element>(v[u]);
    if (i == place.vector) set_element<Element>(v[u], place.place, label_bits);
    if (is_zero) v[u] = uint4{};
    if (i < end) __stcs(to + i, v[u]);
  }
  if (single >= 0)
    out[single] = Element::rounded(single == label || is_zero ? scale.at_label
                                                              : scale(Element::load(in + single)));
  if (part.is_last()) write_zeros<Element>(out, pass.logits.vocab, columns(pass.logits), {0, 1});
  // At the end, when no registers hold the row.
  if (part.is_first() && thread == 0) {
    const std::int64_t row = pass.selection[blockIdx.x / cluster.num_blocks()];
    write_statistics(pass, row, pass.labels.label[row], ExpSum(of_row).log(), of_row.plain, z);
  }
}
#endif

/// Returns the blocks per multiprocessor: two if the compiler manages with 64 registers.
template <class Element, bool with_plain>
constexpr int resident_blocks() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 1000
  return std::is_same_v<Element, BFloat16> && !with_plain ? 2 : 1;
#else
  return 1;
#endif
}

template <class Element, bool with_plain>
__global__ void __launch_bounds__(row_threads, resident_blocks<Element, with_plain>())
    unit_gradient_kernel(launch::RowPass pass) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  do_row<Element, with_plain>(pass);
#endif
}

/// Returns how many blocks hold a row, a power of two; 0 if no cluster does.
template <class Element>
int cluster_size(std::int64_t vocab) {
  for (int blocks = 1; blocks <= largest_cluster; blocks *= 2)
    if (vocab <= blocks * block_capacity<Element>) return blocks;
  return 0;
}

/// Returns whether the code that runs on this device was compiled for clusters: a device that has
/// them may still run code for an older one.
template <class Kernel>
bool has_clusters(Kernel* kernel) {
  cudaFuncAttributes attributes;
  detail::check(cudaFuncGetAttributes(&attributes, kernel), "cuda::row_log_probs_and_gradient");
  return attributes.ptxVersion >= 90;
}

/// Returns whether a cluster of this launch finds room: a slice of a GPU, or a small one, may have
/// no group of multiprocessors that holds all its blocks. One block always finds room.
template <class Kernel>
bool has_room(const cudaLaunchConfig_t& config, Kernel* kernel, int blocks) {
  if (blocks == 1) return true;
  int clusters = 0;
  detail::check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config),
                "cuda::row_log_probs_and_gradient");
  return clusters > 0;
}

template <class Element>
bool launch_for(const launch::RowPass& pass, Stream stream) {
  const int blocks = cluster_size<Element>(pass.logits.vocab);
  if (blocks == 0 || pass.selection.count > INT32_MAX / blocks) return false;
  const auto kernel = pass.statistics.logit_sum != nullptr ? unit_gradient_kernel<Element, true>
                                                           : unit_gradient_kernel<Element, false>;
  if (!has_clusters(kernel)) return false;
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(pass.selection.count * blocks));
  config.blockDim = dim3(row_threads);
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  if (!has_room(config, kernel, blocks)) return false;
  detail::check(cudaLaunchKernelEx(&config, kernel, pass), "cuda::row_log_probs_and_gradient");
  return true;
}

}  // namespace

bool launch::log_probs_and_gradient(const RowPass& pass, Stream stream) {
  bool launched = false;
  visit(pass.logits.dtype,
        [&](auto element) { launched = launch_for<decltype(element)>(pass, stream); });
  return launched;
}

}  // namespace sp2dpo::cuda
