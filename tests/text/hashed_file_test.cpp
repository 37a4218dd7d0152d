// SPDX-License-Identifier: Apache-2.0
#include "text/hashed_file.hpp"

#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>

#include "files.hpp"

namespace sp2dpo::text {
namespace {

std::string bytes(std::size_t n) {
  std::string text(n, '\0');
  unsigned state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  return text;
}

// Sizes around one block, and enough blocks to reuse each.
TEST(HashedFile, ReturnsAllBytesAndTheirHash) {
  const test::Folder folder;
  for (const std::size_t n : {0ul, 1ul, (1ul << 19) - 1, 1ul << 19, (1ul << 19) + 1, 5'000'000ul}) {
    const auto text = bytes(n);
    const auto path = folder.write("f", text);
    Sha256 hash;
    hash.update(text);
    const auto expected = hex(hash.finish());
    HashedFile file(path);
    EXPECT_EQ(file.sha256(), "");
    std::string read;
    for (std::string_view block; !(block = file.next()).empty();) {
      EXPECT_EQ(file.sha256(), "");
      read += block;
    }
    EXPECT_EQ(file.error(), 0);
    EXPECT_TRUE(read == text) << n << " bytes";
    EXPECT_EQ(file.sha256(), expected);
    EXPECT_TRUE(file.next().empty());
  }
}

TEST(HashedFile, CanBeDestroyedBeforeTheEnd) {
  const test::Folder folder;
  const auto text = bytes(5'000'000);
  const auto path = folder.write("f", text);
  for (int i = 0; i < 50; ++i) {
    HashedFile file(path);
    for (int blocks = 0; blocks < i % 4; ++blocks) EXPECT_FALSE(file.next().empty());
  }
}

TEST(HashedFile, ReportsWhyItCannotBeRead) {
  const test::Folder folder;
  EXPECT_EQ(HashedFile(folder / "none").error(), ENOENT);
  HashedFile of_folder(folder / ".");
  EXPECT_TRUE(of_folder.next().empty());
  EXPECT_EQ(of_folder.error(), EISDIR);
}

}  // namespace
}  // namespace sp2dpo::text
