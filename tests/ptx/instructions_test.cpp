// SPDX-License-Identifier: Apache-2.0
#include "instructions.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptx/device.hpp"
#include "ptx/device_array.hpp"
#include "ptx/opcodes.hpp"
#include "ptx/parser.hpp"
#include "ptx/schedules.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::ptx {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr unsigned blocks = 8, threads = 128;

/// Numbers of all magnitudes; special values come first.
std::vector<Words> random_words() {
  std::vector<Words> words{
      {0, 0, 0, -0.0},        {INT64_MAX, INT64_MIN, 1e-310, 5e-324}, {INT64_MIN, 1, 65504, 65520},
      {-1, -1, 3e-8, 6.1e-5}, {INT32_MIN, INT32_MAX, 0.5, 1.5},       {255, 256, 2.5, -2.5}};
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal(0, 30);
  while (words.size() < blocks * threads) {
    const auto shifted = [&] { return static_cast<std::int64_t>(random() >> random() % 64); };
    words.push_back({shifted(), -shifted(), normal(random), normal(random)});
  }
  return words;
}

template <class Launch>
std::vector<Words> run(const std::vector<Words>& in, const Launch& launch) {
  const DeviceArray<Words> from(in), to(std::vector<Words>(in.size()));
  launch(from.data(), to.data());
  return to.get();
}

TEST(PtxInstructionsOnEveryDevice, MatchTheHostsIntegers) {
  const auto in = random_words();
  const auto out = run(in, [](auto* a, auto* b) { integers_on_device(a, b, blocks); });
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(out[i].a, Integers()(in[i]).a) << in[i].a << ' ' << in[i].b;
    EXPECT_EQ(out[i].b, Integers()(in[i]).b) << in[i].a << ' ' << in[i].b;
  }
}

TEST(PtxInstructionsOnEveryDevice, MatchTheHostsRoundedFloats) {
  const auto in = random_words();
  const auto out = run(in, [](auto* a, auto* b) { floats_on_device(a, b, blocks); });
  for (std::size_t i = 0; i < in.size(); ++i) {
    const Words wanted = Floats()(in[i]);
    EXPECT_EQ(out[i].a, wanted.a) << in[i].x << ' ' << in[i].y;
    EXPECT_EQ(out[i].b, wanted.b) << in[i].x << ' ' << in[i].y;
    EXPECT_EQ(out[i].x, wanted.x) << in[i].x << ' ' << in[i].y;
    EXPECT_EQ(out[i].y, wanted.y) << in[i].x << ' ' << in[i].y;
  }
}

TEST(PtxInstructionsOnEveryDevice, MatchTheHostsFunctionsToTheLastPlaces) {
  const auto in = random_words();
  const auto out = run(in, [](auto* a, auto* b) { functions_on_device(a, b, blocks); });
  for (std::size_t i = 0; i < in.size(); ++i) {
    const Words wanted = Functions()(in[i]);
    const auto is_near = [](double a, double b, double relative) {
      return a == b || std::fabs(a - b) <= relative * (1 + std::fabs(b));
    };
    EXPECT_TRUE(is_near(out[i].x, wanted.x, 1e-13)) << in[i].x << ' ' << in[i].y;
    EXPECT_TRUE(is_near(out[i].y, wanted.y, 1e-6)) << in[i].x;
  }
}

TEST(PtxInstructionsOnEveryDevice, ExchangeWordsWithinAWarp) {
  std::vector<Words> in(threads);
  for (std::size_t i = 0; i < threads; ++i) in[i].a = static_cast<std::int64_t>(i * i + 1);
  for_each_schedule([&] {
    const auto out = run(in, warps_on_device);
    for (unsigned i = 0; i < threads; ++i) {
      const unsigned lane = i % 32, first = i - lane;
      const auto word = [&](unsigned of) { return static_cast<std::uint32_t>(in[first + of].a); };
      std::uint32_t ballot = 0, sum = 0, largest = 0;
      bool any = false;
      for (unsigned k = 0; k < 32; ++k) {
        ballot |= (word(k) & 1) << k;
        sum += word(k) & 0xff;
        largest = std::max(largest, word(k) & 0xff);
        any = any || word(k) == 77;
      }
      EXPECT_EQ(out[i].a, word(lane < 3 ? lane : lane - 3) + (ballot << 1));
      EXPECT_EQ(out[i].b, word(lane / 8 * 8 + 5) ^ word(lane % 16 < 9 ? lane + 7 : lane));
      EXPECT_EQ(out[i].x, word(lane ^ 9) + (any ? 0.5 : 0) + 0.25);
      EXPECT_EQ(out[i].y, sum + 1024.0 * largest);
    }
  });
}

TEST(PtxInstructionsOnEveryDevice, UseVariablesOfTheModule) {
  int before = 0;
  ASSERT_EQ(get_variable(&before), cudaSuccess);
  const DeviceArray<int> count(1);
  const auto run = [&](int begin) {
    const DeviceArray<int> sum(std::vector<int>{begin});
    const DeviceArray<unsigned long long> word(std::vector<unsigned long long>{7ull << 40});
    use_variables_on_device(sum.data(), word.data(), count.data());
    EXPECT_EQ(word.get()[0], (7ull << 40) + 1);
    return sum.get()[0];
  };
  for_each_schedule([&] { EXPECT_EQ(run(5), 5 + 32 * 111); });
  const std::vector<int> fours{4, 4, 4, 4}, first{1, 10, 100, 0};
  ASSERT_EQ(set_variable(fours.data()), cudaSuccess);
  EXPECT_EQ(run(0), 128 * 4);
  ASSERT_EQ(set_variable(first.data()), cudaSuccess);
  EXPECT_EQ(count.get()[0], before + 6 * 2);
}

std::optional<Kernel> parse(const std::string& body) {
  return parse_kernel({".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry k(\n"
                       ".param .u64 k_param_0\n)\n{\n.reg .b32 %r<3>;\n" +
                       body + "ret;\n}\n"},
                      "k", 90, {});
}

TEST(PtxOpcodes, AreRefusedWithTheirLineIfUnknown) {
  EXPECT_TRUE(parse("mov.u32 %r1, %tid.x;\n"));
  // Execution jumps over the unknown opcode.
  for (const char* unknown :
       {"tanh.approx.f32 %r1, %r2;", "ld.global.L3.u32 %r1, [%r2];",
        "ld.global.v2.b128 %r1, [%r2];", "st.global.v8.u64 [%r1], %r2;",
        "atom.global.add.noftz.bf16 %r1, [%r2], %r1;", "shfl.sync.up.b64 %r1, %r2, 1, 0, -1;",
        "vote.sync.uni.pred %r1, %r2, -1;", "barrier.cluster.arrive.relaxed;",
        "fma.rn.relu.f32 %r1, %r1, %r1, %r1;", "bar.red.popc.u32 %r1, 0, %r2;",
        "cp.async.wait_all;"})
    EXPECT_THAT([&] { parse("bra $end;\n" + std::string(unknown) + "\n$end:\n"); },
                ThrowsMessage<std::runtime_error>(AllOf(
                    HasSubstr("unknown opcode"), HasSubstr("line 10 of the PTX, in k"),
                    HasSubstr(std::string(unknown).substr(0, std::string(unknown).size() - 1)))))
        << unknown;
}

/// The README has the list in a code block of its own.
TEST(PtxOpcodes, AreListedInTheReadme) {
  std::ifstream file(SP2DPO_SOURCE_DIR "/src/ptx/README.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  const std::string mark = "```opcodes\n";
  const auto begin = page.find(mark);
  ASSERT_NE(begin, std::string::npos);
  const auto end = page.find("```", begin + mark.size());
  EXPECT_EQ(page.substr(begin + mark.size(), end - begin - mark.size()), opcode_list());
}

}  // namespace
}  // namespace sp2dpo::ptx
