// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include <args.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <suggest.hpp>
#include <terminal.hpp>
#include <unistd.h>

namespace {

using sp2dpo::args::closest;
using sp2dpo::args::Program;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

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
  EXPECT_EQ(missing.err, "program: --pairs is required\nRun program --help for its options.\n");
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

  const auto bare = parse(program, {});
  EXPECT_EQ(bare.status, 2);
  EXPECT_THAT(bare.err, HasSubstr("Merges."));
  EXPECT_EQ(parse(program, {"merge", "a", "b"}).status, std::nullopt);
  EXPECT_TRUE(merge.chosen());
  EXPECT_FALSE(write.chosen());
  EXPECT_THAT(files, ElementsAre("a", "b"));
}

/// A program with commands at two levels, as ours has.
class TwoLevels : public testing::Test {
 protected:
  TwoLevels() {
    program_.require_subcommand();
    auto write = program_.subcommand("write", "Writes.");
    write.option("-p,--pairs", &text_, "Pairs").required();
    write.section("Output");
    write.option("-o,--out", &text_, "Where to write").required();
    write.section("Input");
    write.option("--duplicates", &way_, "What to do with duplicates")
        .one_of({"error", "first"})
        .show_default();
    write.option("--count", &count_, "A count").positive();
    write.option("--cost", &cost_, "A cost").non_negative();
    write.option("--steps", &steps_, "Steps").between(1, 9);
    write.option("--seed", &seed_, "A seed");
    write.option("--share", &share_, "A share");
    write.option("--old", &text_, "Old name").group("");
    auto batch = program_.subcommand("batch", "In batches.", "More");
    batch.require_subcommand();
    batch.subcommand("send", "Sends.").option("FILES", &files_, "Files").required();
    batch.subcommand("wait", "Waits.");
    program_.common_flag("-q,--quiet", &quiet_, "Print less");
  }

  std::string wrong(std::initializer_list<const char*> arguments) {
    const auto ended = parse(program_, arguments);
    EXPECT_EQ(ended.status, 2);
    EXPECT_EQ(ended.out, "");
    return ended.err.substr(0, ended.err.find('\n'));
  }

  Program program_{"program", "Summary."};
  std::string text_;
  std::string way_ = "error";
  std::vector<std::string> files_;
  int count_ = 1;
  int steps_ = 1;
  std::uint64_t seed_ = 0;
  double share_ = 0;
  std::optional<double> cost_;
  bool quiet_ = false;
};

TEST_F(TwoLevels, NamesWhatIsUnknownBeforeWhatIsMissing) {
  EXPECT_EQ(wrong({"write", "--ouput", "o"}),
            "program write: unknown option --ouput; did you mean --out?");
  EXPECT_EQ(wrong({"write", "--pair=p", "--out", "o"}),
            "program write: unknown option --pair; did you mean --pairs?");
  EXPECT_EQ(wrong({"write", "--count", "x", "--dupliactes", "error"}),
            "program write: unknown option --dupliactes; did you mean --duplicates?");
  EXPECT_EQ(wrong({"write", "--verbose"}), "program write: unknown option --verbose");
  EXPECT_EQ(wrong({"write", "extra"}), "program write: unexpected argument \"extra\"");
  EXPECT_EQ(wrong({"wirte", "--pairs", "p"}),
            "program: unknown command \"wirte\"; did you mean write?");
  EXPECT_EQ(wrong({"train"}), "program: unknown command \"train\"; the commands: write, batch");
  EXPECT_EQ(wrong({"batch", "snd"}), "program batch: unknown command \"snd\"; did you mean send?");
  EXPECT_EQ(wrong({"--pairs", "p", "write"}), "program: option --pairs belongs behind the command");
  EXPECT_EQ(wrong({"write"}), "program write: --pairs and --out are required");
  EXPECT_EQ(wrong({"batch", "send"}), "program batch send: FILES is required");
}

TEST_F(TwoLevels, SuggestsNoHiddenOption) {
  EXPECT_EQ(wrong({"write", "--odl"}), "program write: unknown option --odl");
}

TEST_F(TwoLevels, ShowsTheHelpWhereACommandIsMissing) {
  for (const auto& arguments :
       std::initializer_list<std::initializer_list<const char*>>{{}, {"batch"}, {"--quiet"}}) {
    const auto ended = parse(program_, arguments);
    EXPECT_EQ(ended.status, 2);
    EXPECT_THAT(ended.err, HasSubstr("Usage: program"));
  }
  EXPECT_THAT(parse(program_, {"batch"}).err, HasSubstr("Waits."));
}

TEST_F(TwoLevels, HelpsInEveryFormOfAsking) {
  const auto help = parse(program_, {"write", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(parse(program_, {"write", "-h"}).out, help.out);
  EXPECT_EQ(parse(program_, {"help", "write"}).out, help.out);
  EXPECT_EQ(parse(program_, {"help"}).out, parse(program_, {"--help"}).out);
  EXPECT_EQ(help.out, R"(Writes.

Usage: program write --pairs TEXT --out TEXT [OPTION...]

Options:
  -p, --pairs TEXT            Pairs (required)

Input:
      --duplicates {error|first}
                              What to do with duplicates [error]
      --count N               A count
      --cost X                A cost
      --steps N               Steps
      --seed N                A seed
      --share X               A share

Output:
  -o, --out TEXT              Where to write (required)

Other:
  -h, --help                  Print this help
  -q, --quiet                 Print less
)");
}

TEST_F(TwoLevels, StatesRangesInWords) {
  const auto with = [&](const char* option, const char* value) {
    const auto text = wrong({"write", "--pairs", "p", "--out", "o", option, value});
    return text.substr(std::string("program write: ").size());
  };
  EXPECT_EQ(with("--count", "0"), "--count: expected a number above 0, got 0");
  EXPECT_EQ(with("--count", "abc"), "--count: expected a whole number, got abc");
  EXPECT_EQ(with("--count", "1.5"), "--count: expected a whole number, got 1.5");
  EXPECT_EQ(with("--count", "99999999999"),
            "--count: expected a whole number of at most 9 digits, got 99999999999");
  EXPECT_EQ(with("--cost", "-1"), "--cost: expected a number of at least 0, got -1");
  EXPECT_EQ(with("--cost", "nan"), "--cost: expected a number, got nan");
  EXPECT_EQ(with("--cost", "inf"), "--cost: expected a number, got inf");
  EXPECT_EQ(with("--share", "-nan"), "--share: expected a number, got -nan");
  EXPECT_EQ(with("--share", ""), "--share: expected a number, got an empty value");
  EXPECT_EQ(with("--steps", "10"), "--steps: expected a whole number from 1 to 9, got 10");
  EXPECT_EQ(with("--seed", "-1"), "--seed: expected a whole number of at least 0, got -1");
  EXPECT_EQ(with("--duplicates", "frist"),
            "--duplicates: expected error or first, got \"frist\"; did you mean first?");
}

TEST_F(TwoLevels, NamesTheOptionWhoseValueIsMissingOrRepeated) {
  EXPECT_EQ(wrong({"write", "--pairs", "p", "--out"}),
            "program write: --out needs a value: --out TEXT");
  EXPECT_EQ(wrong({"write", "--pairs", "p", "--pairs", "q", "--out", "o"}),
            "program write: --pairs was given 2 times; expected one value");
}

TEST_F(TwoLevels, TakesACommonFlagAtEveryLevel) {
  for (const auto& arguments : std::initializer_list<std::initializer_list<const char*>>{
           {"-q", "batch", "wait"}, {"batch", "--quiet", "wait"}, {"batch", "wait", "-q"}}) {
    quiet_ = false;
    EXPECT_EQ(parse(program_, arguments).status, std::nullopt);
    EXPECT_TRUE(quiet_);
  }
}

TEST_F(TwoLevels, WritesAManualPagePerCommand) {
  const auto pages = program_.man_pages();
  EXPECT_THAT(pages, SizeIs(5));
  const auto& page = pages.at("program-write.1");
  for (const char* part :
       {".TH PROGRAM\\-WRITE 1", "program\\-write \\- Writes.", ".SH INPUT", ".SH OUTPUT",
        "\\fB\\-o, \\-\\-out\\fR \\fITEXT\\fR\nWhere to write (required)"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_THAT(page, Not(HasSubstr("Old name")));
  EXPECT_THAT(pages.at("program-batch.1"), HasSubstr(".BR program\\-batch\\-send (1)"));
}

/// What bash offers for the last of the words.
std::string completed(const Program& program, const std::string& words, int index) {
  const std::string script = testing::TempDir() + "/completion.bash";
  std::ofstream(script) << program.completion("bash");
  const auto command = "bash -c '. " + script + "; COMP_WORDS=(" + words +
                       "); COMP_CWORD=" + std::to_string(index) +
                       "; compopt() { :; }; _program; echo ${COMPREPLY[*]}' 2>&1";
  std::string out;
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
  EXPECT_EQ(::pclose(pipe), 0);
  return out;
}

TEST_F(TwoLevels, CompletesCommandsOptionsAndValuesInBash) {
  EXPECT_EQ(completed(program_, "program w", 1), "write\n");
  EXPECT_EQ(completed(program_, "program write --du", 2), "--duplicates\n");
  EXPECT_EQ(completed(program_, "program write --duplicates \"\"", 3), "error first\n");
  EXPECT_EQ(completed(program_, "program write --count \"\"", 3), "\n");
  EXPECT_EQ(completed(program_, "program batch \"\"", 2), "send wait -h --help -q --quiet\n");
}

TEST_F(TwoLevels, WritesACompletionForZsh) {
  const auto script = program_.completion("zsh");
  for (const char* part : {"#compdef program", "_program_batch_send()", "'write:Writes.'",
                           "'(-o --out)--out[Where to write]:TEXT: '",
                           "[What to do with duplicates]:error|first:(error first)'"})
    EXPECT_THAT(script, HasSubstr(part));
}

TEST(Emphasis, ColoursTerminalsOnly) {
  using sp2dpo::args::Emphasis;
  using sp2dpo::args::emphasized;
  const int controller = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (controller < 0 || ::grantpt(controller) != 0 || ::unlockpt(controller) != 0)
    GTEST_SKIP() << "needs a pseudo-terminal";
  std::FILE* const terminal = std::fopen(::ptsname(controller), "w");
  std::FILE* const file = std::tmpfile();
  ASSERT_TRUE(terminal != nullptr && file != nullptr);
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "xterm", 1);
  EXPECT_EQ(emphasized("WARN", Emphasis::warning, terminal), "\x1b[1;33mWARN\x1b[0m");
  EXPECT_EQ(emphasized("WARN", Emphasis::warning, file), "WARN");
  ::setenv("NO_COLOR", "", 1);  // empty counts as unset
  EXPECT_EQ(emphasized("bad", Emphasis::error, terminal), "\x1b[1;31mbad\x1b[0m");
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_EQ(emphasized("bad", Emphasis::error, terminal), "bad");
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  EXPECT_EQ(emphasized("bad", Emphasis::error, terminal), "bad");
  std::fclose(file);
  std::fclose(terminal);
  ::close(controller);
}

TEST(DidYouMean, FindsTheNearestOfSimilarNames) {
  const std::vector<std::string> names{"--pairs", "--panel", "--out", "--min-annotators", "-p"};
  EXPECT_EQ(closest("--pair", names), "--pairs");
  EXPECT_EQ(closest("--piars", names), "--pairs");
  EXPECT_EQ(closest("--min-anotator", names), "--min-annotators");
  EXPECT_EQ(closest("--ouput", names), "--out");
  EXPECT_EQ(closest("--output-file", names), "--out");
  EXPECT_EQ(closest("--min", names), "--min-annotators");
  EXPECT_EQ(closest("--p", names), "");
  EXPECT_EQ(closest("--verbose", names), "");
  EXPECT_EQ(closest("", names), "");
}

}  // namespace
