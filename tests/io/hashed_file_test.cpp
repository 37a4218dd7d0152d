// SPDX-License-Identifier: Apache-2.0
#include "hashed_file.hpp"

#include <cerrno>
#include <cstddef>
#include <string>

#include "files.hpp"

namespace sp2dpo::io {
namespace {

std::string bytes(std::size_t n) {
  std::string text(n, '\0');
  unsigned state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  return text;
}

// Sizes around the block, and with enough blocks that each is used again.
TEST(HashedFile, GivesAllBytesAndTheirHashHoweverTheyAreAskedFor) {
  const test::Folder folder;
  for (const std::size_t n : {0ul, 1ul, (1ul << 19) - 1, 1ul << 19, (1ul << 19) + 1, 5'000'000ul}) {
    const auto text = bytes(n);
    const auto path = folder.write("f", text);
    Sha256 hash;
    hash.update(text);
    const auto expected = hex(hash.finish());
    for (const std::size_t step : {997ul, 1ul << 19, 3'000'000ul}) {
      HashedFile file(path);
      std::string read, part(step, '\0');
      while (const std::size_t got = file.read(part.data(), step)) {
        EXPECT_EQ(file.sha256(), "");
        read.append(part, 0, got);
      }
      EXPECT_EQ(file.error(), 0);
      EXPECT_TRUE(read == text) << n << " bytes by " << step;
      EXPECT_EQ(file.sha256(), expected);
      EXPECT_EQ(file.read(part.data(), step), 0u);
    }
  }
}

TEST(HashedFile, CanBeLeftBeforeItsEnd) {
  const test::Folder folder;
  const auto path = folder.write("f", bytes(5'000'000));
  char part[10];
  for (int i = 0; i < 50; ++i) EXPECT_EQ(HashedFile(path).read(part, sizeof part), sizeof part);
}

TEST(HashedFile, SaysWhyItCannotBeRead) {
  const test::Folder folder;
  EXPECT_EQ(HashedFile(folder / "none").error(), ENOENT);
  HashedFile of_folder(folder / ".");
  char part[10];
  EXPECT_EQ(of_folder.read(part, sizeof part), 0u);
  EXPECT_EQ(of_folder.error(), EISDIR);
}

}  // namespace
}  // namespace sp2dpo::io
