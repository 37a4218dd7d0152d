// SPDX-License-Identifier: Apache-2.0
#include "instructions.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "device_array.hpp"
#include "host/device.hpp"
#include "host/schedules.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::ptx {
namespace {

using cuda::DeviceArray;

constexpr unsigned blocks = 8, threads = 128;

/// Numbers of all magnitudes, with the awkward ones first.
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

TEST(CudaInstructions, GiveTheHostsIntegers) {
  const auto in = random_words();
  const auto out = run(in, [](auto* a, auto* b) { integers_on_device(a, b, blocks); });
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(out[i].a, Integers()(in[i]).a) << in[i].a << ' ' << in[i].b;
    EXPECT_EQ(out[i].b, Integers()(in[i]).b) << in[i].a << ' ' << in[i].b;
  }
}

TEST(CudaInstructions, GiveTheHostsRoundedFloats) {
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

TEST(CudaInstructions, GiveTheHostsFunctionsToTheLastPlaces) {
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

TEST(CudaInstructions, ExchangeWordsWithinAWarp) {
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

}  // namespace
}  // namespace sp2dpo::ptx
