// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include "hidden_problem.hpp"
#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>

#include <sp2dpo/cuda/logits.hpp>
#include <sp2dpo/cuda/pair_loss.hpp>
#include <sp2dpo/cuda/rows.hpp>
#include <sp2dpo/error.hpp>

/// What the calls owe to their caller apart from numbers: the stream, strides, alignments, the last
/// error.
namespace sp2dpo::cuda {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

struct OwnStream {
  OwnStream() { ptx::expect_success(cudaStreamCreate(&stream)); }
  ~OwnStream() { cudaStreamDestroy(stream); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  cudaStream_t stream = nullptr;
};

void expect_all_on(cudaStream_t stream, std::size_t at_least) {
  EXPECT_GE(ptx::device().launches().size(), at_least);
  for (const auto& launch : ptx::device().launches())
    EXPECT_EQ(launch.stream, stream) << launch.kernel;
  ptx::device().launches().clear();
}

TEST(CudaContracts, HiddenLossesRunOnTheCallersStream) {
  const OwnStream own;
  for (const auto long_pairs : {LongPairs::recompute, LongPairs::by_side})
    for (const bool with_reference : {false, true})
      for (const std::int64_t chunk_rows : {rows, std::int64_t{3}}) {
        Problem problem(DType::bfloat16);
        problem.long_pairs = long_pairs;
        problem.skip_incomplete = true;
        problem.stream = own.stream;
        if (with_reference) problem.reference = problem.hidden;
        (void)problem.on_device(chunk_rows);
        expect_all_on(own.stream, 10);
        (void)problem.log_probs_on_device(chunk_rows);
        expect_all_on(own.stream, 4);
      }
}

TEST(CudaContracts, PairLossesRunOnTheCallersStream) {
  const OwnStream own;
  for (const std::int64_t pairs : {3, 5000}) {
    const DeviceArray<double> loss(static_cast<std::size_t>(pairs)), total(1);
    const DeviceArray<unsigned char> workspace(pair_loss_workspace(pairs));
    PairLossArgs args{.total = {total.data(), DType::float64},
                      .pairs = pairs,
                      .workspace = workspace.data(),
                      .workspace_bytes = workspace.size()};
    args.in.beta = 0.1;
    args.out.loss = {loss.data(), DType::float64};
    pair_loss(args, AnyObjective(Sigmoid()), own.stream);
    expect_all_on(own.stream, pairs > 4096 ? 2 : 1);
  }
}

/// Rows of logits on the device, for calls of every kind.
struct LogitsOnDevice {
  explicit LogitsOnDevice(std::int64_t vocab)
      : memory(std::vector<float>(static_cast<std::size_t>(count * vocab), 0.5f)),
        workspace(row_workspace(rows(vocab), count) + 64),
        logits(rows(vocab)) {
    logits.data = memory.data();
  }
  static LogitRows rows(std::int64_t vocab) {
    return {nullptr, DType::float32, count, vocab, vocab, {vocab}};
  }
  [[nodiscard]] RowMemory row_memory() const {
    return {workspace.data(), workspace.size(), nullptr};
  }

  static constexpr std::int64_t count = 4;
  DeviceArray<float> memory;
  DeviceArray<unsigned char> workspace;
  LogitRows logits;
  DeviceArray<std::int64_t> label{std::vector<std::int64_t>{0, 1, 2, 3}};
  DeviceArray<double> log_prob{4}, lse_others{4}, coefficient{std::vector<double>(4, 0.1)};
};

TEST(CudaContracts, RowsRunOnTheCallersStream) {
  const OwnStream own;
  for (const std::int64_t vocab : {100, 40000, 140000}) {
    const LogitsOnDevice x(vocab);
    const RowSelection all{0, LogitsOnDevice::count};
    const RowStatistics statistics{x.log_prob.data(), x.lse_others.data()};
    const GradientRows in_place{x.memory.data(), x.logits.layout};
    row_log_probs(x.logits, {x.label.data()}, all, statistics, x.row_memory(), own.stream);
    expect_all_on(own.stream, vocab > 100 ? 2 : 1);
    row_gradient(x.logits, {x.label.data()}, all, x.lse_others.data(), x.coefficient.data(),
                 in_place, MaskedRows::zero, x.row_memory(), own.stream);
    expect_all_on(own.stream, vocab > 100 ? 2 : 1);
    row_log_probs_and_gradient(x.logits, {x.label.data()}, all, statistics, x.coefficient.data(),
                               in_place, MaskedRows::zero, x.row_memory(), own.stream);
    expect_all_on(own.stream, 1);
  }
}

/// A copy of dense rows in memory where `stride` elements lie between them, on the device. The gaps
/// hold NaN.
DeviceArray<unsigned char> strided(const Bytes& dense, DType dtype, std::int64_t columns,
                                   std::int64_t stride) {
  const auto values = numbers(dense, dtype);
  const auto height = static_cast<std::int64_t>(values.size()) / columns;
  Bytes bytes(static_cast<std::size_t>(height * stride) * size_of(dtype));
  for (std::int64_t i = 0; i < height; ++i)
    for (std::int64_t j = 0; j < stride; ++j)
      detail::store(bytes.data(), dtype, i * stride + j,
                    j < columns ? values[static_cast<std::size_t>(i * columns + j)] : NAN);
  return DeviceArray<unsigned char>(bytes);
}

/// Hidden states, head and reference may each be a view of something wider, as a tied head is.
TEST(CudaContracts, MatricesMayHaveAnyStride) {
  for (const DType dtype : {DType::float32, DType::bfloat16})
    for (const std::int64_t stride : {width + 1, width + 8, 2 * width}) {
      Problem problem(dtype);
      problem.reference = problem.hidden;
      for (const auto long_pairs : {LongPairs::recompute, LongPairs::by_side})
        for (const std::int64_t chunk_rows : {rows, std::int64_t{4}}) {
          problem.long_pairs = long_pairs;
          const Result want = problem.on_device(chunk_rows);
          const auto hidden = strided(problem.hidden, dtype, width, stride),
                     head = strided(problem.head, dtype, width, stride + 3);
          const Result got = problem.on_device(chunk_rows, nullptr, [&](const Problem::Call& call) {
            call.rows.hidden.data = call.reference.data = hidden.data();
            call.rows.hidden.stride = call.reference.stride = stride;
            call.rows.head.data = head.data();
            call.rows.head.stride = stride + 3;
          });
          expect_same(got, want, 0);
        }
    }
}

/// An algorithm for aligned matrices may not take others of the same shape.
TEST(CudaContracts, ProductsChooseAnAlgorithmForEachAlignment) {
  const std::vector<std::uint16_t> ones(600, 0x3f80);  // 1.0 in bfloat16
  const DeviceArray<std::uint16_t> a(ones), b(ones), out(ones);
  const DeviceArray<unsigned char> workspace(1024);
  MatrixProducts products;
  for (const std::int64_t shift : {0, 1, 4, 8})
    for (const int moved : {0, 1, 2}) {
      const auto at = [&](const DeviceArray<std::uint16_t>& array, int which) {
        return Matrix{array.data() + (which == moved ? shift : 0), DType::bfloat16, 16, 16, 32};
      };
      products({as_const(at(a, 0))}, {as_const(at(b, 1)), true}, at(out, 2), false,
               workspace.data(), workspace.size(), nullptr);
    }
  EXPECT_THAT(ptx::device().findings().take(), testing::IsEmpty());
  EXPECT_EQ(out.get()[8], 0x4180);  // 16.0
}

TEST(CudaContracts, TheWorkspaceOfAHiddenLossIsAlignedTo256Bytes) {
  const Problem problem(DType::float32);
  for (const std::size_t shift : {8, 16, 128})
    EXPECT_THAT(
        [&] {
          (void)problem.on_device(rows, nullptr, [&](const Problem::Call& call) {
            call.memory.workspace = static_cast<unsigned char*>(call.memory.workspace) + shift;
          });
        },
        ThrowsMessage<InvalidArgument>(HasSubstr("workspace is not aligned to 256 bytes")));
  EXPECT_TRUE(ptx::device().launches().empty());
}

/// An error that another library left behind is neither taken for one's own nor cleared.
TEST(CudaContracts, AStaleErrorIsLeftToItsOwner) {
  int unused = 0;
  EXPECT_NE(cudaFree(&unused), cudaSuccess);
  (void)Problem(DType::float32).on_device(3);
  const LogitsOnDevice x(40000);
  row_log_probs(x.logits, {x.label.data()}, {0, LogitsOnDevice::count},
                {x.log_prob.data(), x.lse_others.data()}, x.row_memory(), nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST(CudaContracts, RefuseAPaddedVocabularyBeyondALaunch) {
  LogitsOnDevice x(100);
  x.logits.padded_vocab = std::int64_t{1} << 31;
  EXPECT_THAT(
      [&] {
        row_log_probs(x.logits, {x.label.data()}, {0, 1}, {x.log_prob.data()}, x.row_memory(),
                      nullptr);
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("padded_vocab 2147483648")));
}

}  // namespace
}  // namespace sp2dpo::cuda
