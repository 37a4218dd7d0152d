// SPDX-License-Identifier: Apache-2.0
// The examples in docs/formats.md are read and written as shown.
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include <gtest/gtest.h>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::io {
namespace {

/// The JSON blocks of the page in order.
std::vector<std::string> examples() {
  constexpr std::string_view open = "```json\n";
  const std::string page = test::slurp(SP2DPO_FORMATS_PAGE);
  std::vector<std::string> blocks;
  for (auto at = page.find(open); at != std::string::npos; at = page.find(open, at)) {
    at += open.size();
    blocks.push_back(page.substr(at, page.find("```", at) - at));
  }
  return blocks;
}

TEST(FormatsPage, ShowsValidFiles) {
  const auto blocks = examples();
  ASSERT_EQ(blocks.size(), 4u);
  const test::Folder folder;

  const auto pairs = read_pairs(folder.write("p.jsonl", blocks[0]));
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(content_id(pairs[1]), content_id(pairs[2]));
  EXPECT_EQ(read_annotations(folder.write("a.jsonl", blocks[1])).size(), 2u);

  const auto file = read_schedule(folder.write("s.jsonl", blocks[2]));
  write_schedule(folder / "again.jsonl", file.schedule, file.manifest.value());
  EXPECT_EQ(test::slurp(folder / "again.jsonl"), blocks[2]);

  const auto joined = read_pairs(folder.write("j.jsonl", blocks[3]));
  ASSERT_EQ(joined.size(), 1u);
  EXPECT_TRUE(joined[0].columns.contains("beta") && joined[0].columns.contains("sp2dpo"));
}

}  // namespace
}  // namespace sp2dpo::io
