// SPDX-License-Identifier: Apache-2.0
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include <args.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using sp2dpo::args::Program;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Ended {
  std::optional<int> status;
  std::string out;
  std::string err;
};

Ended parse(Program& program, std::initializer_list<const char*> arguments) {
  std::vector<std::string> words{"program"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const auto status = program.parse(static_cast<int>(argv.size()), argv.data());
  std::string out = testing::internal::GetCapturedStdout();
  return {status, std::move(out), testing::internal::GetCapturedStderr()};
}

TEST(Args, SetsAVariableOfEveryType) {
  std::string text;
  std::vector<std::string> list;
  int small = 0;
  std::int64_t large = 0;
  std::uint64_t seed = 0;
  double number = 0;
  std::optional<std::int64_t> limit;
  std::optional<double> cost;
  bool flag = false;
  Program program("program", "Summary.");
  program.option("--text", &text, "");
  program.option("--list", &list, "").separated_by(',');
  program.option("--small", &small, "");
  program.option("--large", &large, "");
  program.option("--seed", &seed, "");
  program.option("--number", &number, "");
  program.option("--limit", &limit, "");
  program.option("--cost", &cost, "");
  program.flag("--flag", &flag, "");

  const auto ended = parse(program, {"--text", "a b", "--list", "x,y", "--small", "-3", "--large",
                                     "9000000000", "--seed", "18446744073709551615", "--number",
                                     "0.5", "--limit", "7", "--cost", "1.25", "--flag"});

  EXPECT_EQ(ended.status, std::nullopt) << ended.err;
  EXPECT_EQ(text, "a b");
  EXPECT_THAT(list, ElementsAre("x", "y"));
  EXPECT_EQ(small, -3);
  EXPECT_EQ(large, 9'000'000'000);
  EXPECT_EQ(seed, 18446744073709551615U);
  EXPECT_EQ(number, 0.5);
  EXPECT_EQ(limit, 7);
  EXPECT_EQ(cost, 1.25);
  EXPECT_TRUE(flag);
}

TEST(Args, KeepsDefaultsOfOptionsThatAreNotGiven) {
  int steps = 48;
  std::optional<double> cost;
  Program program("program", "Summary.");
  const auto option = program.option("--steps", &steps, "");
  program.option("--cost", &cost, "");
  EXPECT_EQ(parse(program, {}).status, std::nullopt);
  EXPECT_EQ(steps, 48);
  EXPECT_EQ(cost, std::nullopt);
  EXPECT_FALSE(option.given());
}

TEST(Args, EndsWithTwoAndTheProgramsNameWhereTheCommandLineIsWrong) {
  std::string pairs;
  std::string annotations;
  std::string way = "first";
  int steps = 1;
  Program program("program", "Summary.");
  program.option("--pairs", &pairs, "").required();
  const auto other = program.option("--annotations", &annotations, "").excludes("--pairs");
  program.option("--way", &way, "").one_of({"first", "last"}).needs(other);
  program.option("--steps", &steps, "").between(1, 9);

  const auto missing = parse(program, {});
  EXPECT_EQ(missing.status, 2);
  EXPECT_EQ(missing.err, "program: --pairs is required\nRun it with --help for what it takes.\n");
  EXPECT_EQ(missing.out, "");
  for (const auto& wrong : std::initializer_list<std::initializer_list<const char*>>{
           {"--pairs", "p", "--annotations", "a"},
           {"--pairs", "p", "--way", "first"},
           {"--pairs", "p", "--steps", "0"},
           {"--pairs", "p", "--steps", "ten"},
           {"--pairs", "p", "--unknown"},
           {"--pairs", "p", "--pairs", "q"}}) {
    const auto ended = parse(program, wrong);
    EXPECT_EQ(ended.status, 2);
    EXPECT_THAT(ended.err, HasSubstr("program: "));
  }
  EXPECT_EQ(parse(program, {"--pairs", "p", "--steps", "9"}).status, std::nullopt);
}

TEST(Args, HelpNamesOptionsDefaultsAndGroupsAndEndsWithZero) {
  int steps = 48;
  std::string out = "folder";
  Program program("program", "What it does.");
  program.version("program 1.2.3");
  program.option("--steps", &steps, "Steps of training").show_default().positive();
  program.option("--out", &out, "Where to write").group("Output").keep_last();
  program.footer("Examples follow.");

  const auto help = parse(program, {"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* part : {"What it does.", "--steps", "Steps of training", "48",
                           "Output:", "Where to write", "Examples follow."})
    EXPECT_THAT(help.out, HasSubstr(part));
  EXPECT_THAT(help.out, Not(HasSubstr("folder")));
  EXPECT_EQ(parse(program, {"--version"}).out, "program 1.2.3\n");
  EXPECT_EQ(parse(program, {"--out", "a", "--out", "b"}).status, std::nullopt);
  EXPECT_EQ(out, "b");
}

TEST(Args, ChoosesOneSubcommand) {
  std::vector<std::string> files;
  Program program("program", "Summary.");
  program.require_subcommand();
  auto merge = program.subcommand("merge", "Merges.");
  merge.option("FILES", &files, "Files").required();
  const auto write = program.subcommand("write", "Writes.");

  EXPECT_EQ(parse(program, {}).status, 2);
  EXPECT_EQ(parse(program, {"merge", "a", "b"}).status, std::nullopt);
  EXPECT_TRUE(merge.chosen());
  EXPECT_FALSE(write.chosen());
  EXPECT_THAT(files, ElementsAre("a", "b"));
}

}  // namespace
