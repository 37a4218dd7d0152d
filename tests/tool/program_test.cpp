// SPDX-License-Identifier: Apache-2.0
#include "program.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::tool {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view pairs = R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"}
)";
constexpr std::string_view annotations =
    R"({"pair_id":"a","annotator":"x","prompt":"p","category":"style","magnitude":1,"confidence":1}
)";

TEST(Program, ShowsTheHelpWithoutACommand) {
  const Folder folder;
  const auto bare = run(folder, "");
  EXPECT_EQ(bare.status, 2);
  EXPECT_EQ(bare.err, run(folder, "--help").out);
  EXPECT_EQ(run(folder, "help schedule").out, run(folder, "schedule -h").out);
}

TEST(Program, ListsTheCommandsInTheOrderOfTheWork) {
  const Folder folder;
  const auto help = run(folder, "--help").out;
  std::size_t last = 0;
  for (const char* line : {"\nJudgments:\n", "\n  import-votes ", "\n  agree ", "\n  compare ",
                           "\n  schedule ", "\n  report ", "\n  winrate ", "\n  completion "}) {
    const auto place = help.find(line);
    ASSERT_NE(place, std::string::npos) << line;
    EXPECT_GT(place, last) << line;
    last = place;
  }
}

TEST(Program, SuggestsTheNearestCommandOrOption) {
  const Folder folder;
  EXPECT_THAT(run(folder, "schedul --pairs p").err, HasSubstr("did you mean schedule?"));
  EXPECT_THAT(run(folder, "schedule --pairs p --ouput s").err,
              StartsWith("sp2dpo schedule: unknown option --ouput; did you mean --out?\n"));
  EXPECT_THAT(run(folder, "report --schedul s").err, HasSubstr("did you mean --schedule?"));
}

TEST(Program, GroupsTheOptionsOfSchedule) {
  const Folder folder;
  const auto help = run(folder, "schedule --help").out;
  std::size_t last = 0;
  for (const char* line :
       {"\nInput:\n", "  -p, --pairs ", "\nJudgments:\n", "      --aggregator ", "\nBeta:\n",
        "      --envelope ", "\nOutput:\n", "  -o, --out ", "\nOther:\n", "  -q, --quiet"}) {
    const auto place = help.find(line);
    ASSERT_NE(place, std::string::npos) << line;
    EXPECT_GT(place, last) << line;
    last = place;
  }
}

TEST(Program, IsQuietWhereItIsAsked) {
  const Folder folder;
  folder.write("p.jsonl", pairs);
  folder.write("a.jsonl", annotations);
  for (const char* command : {"schedule -q -p p.jsonl -a a.jsonl -o s.jsonl",
                              "-q schedule -p p.jsonl -a a.jsonl -o s.jsonl"}) {
    const auto outcome = run(folder, command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
  }
  const auto stream = run(folder, "schedule -q -p p.jsonl -a a.jsonl -o /dev/stdout");
  EXPECT_EQ(stream.status, 0);
  EXPECT_THAT(stream.out, HasSubstr("\"beta\""));
  const auto wrong = run(folder, "schedule -q -p none.jsonl -a a.jsonl -o s.jsonl");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("none.jsonl"));
}

TEST(Program, RecordsFilesWithoutTheirFolders) {
  const Folder folder;
  std::filesystem::create_directory(folder / "secret");
  folder.write("secret/p.jsonl", pairs);
  folder.write("secret/a.jsonl", annotations);
  const std::string schedule =
      "schedule -p secret/p.jsonl -a secret/a.jsonl -o secret/s.jsonl --join secret/j.jsonl "
      "--manifest secret/m.json ";
  const auto recorded = [&] {
    return slurp(folder / "secret/m.json") + slurp(folder / "secret/s.jsonl") +
           slurp(folder / "secret/j.jsonl");
  };
  ASSERT_EQ(run(folder, schedule).status, 0);
  EXPECT_THAT(recorded(), AllOf(HasSubstr("p.jsonl"), Not(HasSubstr("secret"))));
  ASSERT_EQ(run(folder, schedule + "--full-paths").status, 0);
  EXPECT_THAT(recorded(), HasSubstr("secret/p.jsonl"));

  // A manifest with folders, such as one of an earlier version, is published without them too.
  ASSERT_EQ(run(folder,
                "schedule -p secret/p.jsonl -a secret/a.jsonl -o secret/s.jsonl "
                "--full-paths")
                .status,
            0);
  const std::string report = "report -s secret/s.jsonl --card c.md --out r.html ";
  ASSERT_EQ(run(folder, report).status, 0);
  EXPECT_THAT(slurp(folder / "c.md") + slurp(folder / "r.html"), Not(HasSubstr("secret")));
  ASSERT_EQ(run(folder, report + "--full-paths").status, 0);
  EXPECT_THAT(slurp(folder / "c.md"), HasSubstr("secret/s.jsonl"));
}

TEST(Program, WritesFiguresAsJson) {
  const Folder folder;
  folder.write("p.jsonl", pairs);
  folder.write("a.jsonl", annotations);
  ASSERT_EQ(run(folder, "schedule -p p.jsonl -a a.jsonl -o s.jsonl --json s.json").status, 0);
  EXPECT_THAT(slurp(folder / "s.json"),
              AllOf(HasSubstr(R"("counts":{"annotations":1,)"), HasSubstr(R"("pairs":1})"),
                    HasSubstr(R"("remedy":"sp2dpo schedule ... --mapper rank","result":"warn")")));
  ASSERT_EQ(run(folder, "report -s s.jsonl --json r.json").status, 0);
  EXPECT_THAT(slurp(folder / "r.json"),
              AllOf(HasSubstr(R"("check":"guessing")"), HasSubstr(R"("result":"not checked")"),
                    HasSubstr(R"("remedy":null,"result":"pass")")));
}

TEST(Program, PrintsNoColoursIntoFiles) {
  const Folder folder;
  EXPECT_THAT(run(folder, "schedul").err, Not(HasSubstr("\x1b")));
}

TEST(Program, WritesCompletionsAndManualPages) {
  const Folder folder;
  const auto bash = run(folder, "completion bash");
  EXPECT_EQ(bash.status, 0);
  folder.write("bash", bash.out);
  EXPECT_EQ(run(folder, "--version && bash -n bash").status, 0);
  EXPECT_THAT(run(folder, "completion zsh").out,
              AllOf(StartsWith("#compdef sp2dpo\n"), HasSubstr("--gap-range")));
  EXPECT_EQ(run(folder, "completion fish").status, 2);
  std::filesystem::create_directory(folder / "man1");
  EXPECT_EQ(run(folder, "man man1").status, 0);
  EXPECT_THAT(slurp(folder / "man1/sp2dpo-schedule.1"), HasSubstr("gap\\-range"));
  EXPECT_THAT(slurp(folder / "man1/sp2dpo.1"), HasSubstr(".BR sp2dpo\\-report (1)"));
}

}  // namespace
}  // namespace sp2dpo::tool
