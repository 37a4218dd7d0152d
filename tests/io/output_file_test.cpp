// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "files.hpp"
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using test::slurp;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(OutputFile, AppearsCompleteOnCommit) {
  const Folder folder;
  OutputFile file(folder / "out.txt");
  const std::string much(1'000'000, 'x');
  file.write("begin ");
  file.write(much);
  EXPECT_FALSE(std::filesystem::exists(folder / "out.txt"));
  file.commit();
  EXPECT_EQ(slurp(folder / "out.txt"), "begin " + much);
  EXPECT_THAT(folder.names(), ElementsAre("out.txt"));
}

TEST(OutputFile, LeavesNothingWithoutCommit) {
  const Folder folder;
  try {
    OutputFile file(folder / "out.txt");
    file.write(std::string(1'000'000, 'x'));
    throw std::runtime_error("in the middle of it");
  } catch (const std::runtime_error&) {
  }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(OutputFile, KeepsTheOldFileUntilCommit) {
  const Folder folder;
  folder.write("out.txt", "old");
  ::chmod((folder / "out.txt").c_str(), 0640);
  { OutputFile(folder / "out.txt").write("new"); }
  EXPECT_EQ(slurp(folder / "out.txt"), "old");
  OutputFile file(folder / "out.txt");
  file.write("new");
  file.commit();
  EXPECT_EQ(slurp(folder / "out.txt"), "new");
  struct stat status {};
  ASSERT_EQ(::stat((folder / "out.txt").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(OutputFile, FollowsASymbolicLink) {
  const Folder folder;
  folder.write("real.txt", "old");
  std::filesystem::create_symlink("real.txt", folder / "link.txt");
  OutputFile file(folder / "link.txt");
  file.write("new");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.txt"));
  EXPECT_EQ(slurp(folder / "real.txt"), "new");
}

TEST(OutputFile, NamesThePathAndTheReasonIfItCannotBeCreated) {
  const Folder folder;
  folder.write("file", "");
  const auto missing = folder / "no/out.txt";
  EXPECT_THAT(error_of([&] { OutputFile file(missing); }).what(),
              HasSubstr(missing.string() + ": cannot be written: No such file or directory"));
  EXPECT_THAT(error_of([&] { OutputFile file(folder / "."); }).what(), HasSubstr("Is a directory"));
  EXPECT_THAT(error_of([&] { OutputFile file(folder / "file/out.txt"); }).what(),
              HasSubstr("Not a directory"));
}

TEST(OutputFile, AKilledProcessLeavesNothingBehind) {
  const Folder folder;
  const int unnamed = ::open((folder / ".").c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (unnamed < 0) GTEST_SKIP() << "the file system has no files without a name";
  ::close(unnamed);
  folder.write("out.txt", "old");
  const auto child = ::fork();
  if (child == 0) {
    OutputFile file(folder / "out.txt");
    file.write(std::string(1'000'000, 'x'));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(folder.names(), ElementsAre("out.txt"));
  EXPECT_EQ(slurp(folder / "out.txt"), "old");
}

TEST(OutputFile, TakesTheLongestNameAndRefusesALongerOneAtOnce) {
  const Folder folder;
  const std::string longest(255, 'n');
  OutputFile file(folder / longest);
  file.write("x");
  file.commit();
  EXPECT_EQ(slurp(folder / longest), "x");
  EXPECT_THAT(error_of([&] { OutputFile too_long(folder / (longest + "n")); }).what(),
              HasSubstr("File name too long"));
}

TEST(OutputFile, RefusesAReadOnlyFolder) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const Folder folder;
  std::filesystem::create_directory(folder / "locked");
  ::chmod((folder / "locked").c_str(), 0500);
  EXPECT_THAT(error_of([&] { OutputFile file(folder / "locked/out.txt"); }).what(),
              HasSubstr("Permission denied"));
}

TEST(OutputFile, ReportsAFullDisk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  OutputFile file("/dev/full");
  file.write("x");
  EXPECT_THAT(error_of([&] { file.commit(); }).what(),
              HasSubstr("/dev/full: cannot be written: No space"));
}

TEST(OutputFile, WritesDirectlyToOtherThanRegularFiles) {
  const Folder folder;
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  OutputFile file(pipe);
  file.write("through");
  file.commit();
  char got[16] = {};
  EXPECT_EQ(::read(reader, got, sizeof got), 7);
  EXPECT_STREQ(got, "through");
  ::close(reader);
  EXPECT_THAT(folder.names(), ElementsAre("pipe"));
}

TEST(OutputFile, RefusesCallsAfterCommit) {
  const Folder folder;
  OutputFile file(folder / "out.txt");
  file.commit();
  EXPECT_EQ(slurp(folder / "out.txt"), "");
  EXPECT_THROW(file.write("x"), InvalidArgument);
  EXPECT_THROW(file.commit(), InvalidArgument);
}

}  // namespace
}  // namespace sp2dpo::io
