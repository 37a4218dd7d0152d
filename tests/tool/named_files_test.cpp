// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "program.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

// Two options that name one file are refused before anything is read. The tests take every option
// of every command from the help, so that a new one is tested without a change here.
namespace sp2dpo::tool {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// An option or argument, as the help lists it.
struct Listed {
  std::string name;
  std::string type;
};

bool is_file(const std::string& type) {
  return type == "FILE" || type == "OUTFILE" || type == "STORE";
}

/// The help names arguments without their types.
const std::map<std::string, std::string> types_of_arguments = {
    {"OUT", "STORE"},  {"IN", "FILE"},      {"STORE", "FILE"},
    {"FILES", "FILE"}, {"RESULTS", "FILE"}, {"ID", "TEXT"}};

std::vector<Listed> options_of(const Folder& folder, const std::string& command) {
  const auto help = run(folder, command + " --help");
  EXPECT_EQ(help.status, 0) << command;
  std::vector<Listed> found;
  std::istringstream lines(help.out);
  // "  -p, --pairs FILE  …", "      --json OUTFILE  …", or "  OUT  …" under "Arguments:".
  bool arguments = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(' ')) arguments = line == "Arguments:";
    std::istringstream words(line);
    Listed option;
    if (!line.starts_with("  ") || !(words >> option.name)) continue;
    if (arguments) {
      if (const auto type = types_of_arguments.find(option.name); type != types_of_arguments.end())
        found.push_back({option.name, type->second});
      continue;
    }
    if (option.name.ends_with(',')) words >> option.name;
    if (!option.name.starts_with("--") || !(words >> option.type)) continue;
    if (option.type == "TEXT" || option.type == "FOLDER" || option.type == "PREFIX" ||
        option.type == "OUTFOLDER" || is_file(option.type))
      found.push_back(option);
  }
  EXPECT_FALSE(found.empty()) << command;
  return found;
}

const std::vector<std::string> commands = {
    "agree",      "compare",     "winrate",      "import-votes",  "report",
    "schedule",   "annotate",    "batch write",  "batch read",    "batch submit",
    "batch wait", "store merge", "store export", "import-scores", "explain"};

/// Options with a text that names no file.
const std::set<std::string> texts = {
    "--id-field",  "--duplicates",     "--categories",   "--annotators",  "--prompts",
    "--category",  "--category-field", "--category-map", "--aggregator",  "--mapper",
    "--envelope",  "--gap-range",      "--missing",      "--calibration", "--judge",
    "--c",         "--name",           "--license",      "--shard",       "--teacher",
    "ID",          "--chosen",         "--rejected",     "--scale",       "--aspects",
    "--annotator", "--prompt",         "--prior"};

/// The program's own commands: those of annotate may be left out of a build.
std::vector<std::string> built_commands(const Folder& folder) {
  std::vector<std::string> found;
  for (const auto& command : commands)
    if (run(folder, command + " --help").status == 0) found.push_back(command);
  return found;
}

/// A command line with every required file option but those in `values`, whose values are given.
std::string line_of(const std::string& command, const std::vector<Listed>& options,
                    const std::map<std::string, std::string>& values) {
  std::string line = command;
  std::string arguments;
  for (const auto& option : options) {
    const auto value = values.find(option.name);
    if (value == values.end()) continue;
    if (option.name.starts_with("-"))
      line += fmt::format(" {} '{}'", option.name, value->second);
    else
      arguments += fmt::format(" '{}'", value->second);
  }
  return line + arguments;
}

TEST(NamedFiles, EveryOptionOfEveryCommandSaysWhetherItNamesAFile) {
  const Folder folder;
  for (const auto& command : built_commands(folder))
    for (const auto& option : options_of(folder, command))
      if (option.type == "TEXT") {
        EXPECT_TRUE(texts.contains(option.name))
            << command << " " << option.name
            << " takes a text: declare it with file(), or add it to `texts` above";
      }
}

/// Tries all pairs of file options of all commands, of which one is written, on one file.
template <class Spell>
void expect_refused(const Folder& folder, Spell spell) {
  int tried = 0;
  for (const auto& command : built_commands(folder)) {
    const auto options = options_of(folder, command);
    for (const auto& a : options)
      for (const auto& b : options) {
        if (!is_file(a.type) || !is_file(b.type) || a.name >= b.name) continue;
        if (a.type == "FILE" && b.type == "FILE") continue;
        std::map<std::string, std::string> values;
        for (const auto& option : options) {
          // Everything that a command may require.
          if (option.type == "FILE") values[option.name] = "other-input";
          if (option.type == "STORE") values[option.name] = "other-store";
          if (option.name == "--out")
            values[option.name] = option.type == "OUTFOLDER" ? "." : "other-output";
          if (option.name == "--annotators") values[option.name] = "x";
          if (command == "import-votes" && option.name == "--prompts") values[option.name] = "x";
          if (option.name == "--teacher" || option.name == "ID") values[option.name] = "x";
          if (option.name == "--scale") values[option.name] = "0,1";
        }
        // Options that exclude each other.
        if (command == "agree") {
          const bool ratings = a.name == "--ratings" || b.name == "--ratings";
          if (ratings && (a.name == "--pairs" || a.name == "--annotations" || b.name == "--pairs"))
            continue;
          for (const char* name : {"--pairs", "--annotations"})
            if (ratings) values.erase(name);
          if (!ratings) values.erase("--ratings");
        }
        if (command == "winrate") {
          const bool alpaca = a.name == "--alpaca-eval" || b.name == "--alpaca-eval";
          values.erase(alpaca ? "--preferences" : "--alpaca-eval");
        }
        values[a.name] = spell(true);
        values[b.name] = spell(false);
        const auto line = line_of(command, options, values);
        const auto refused = run(folder, line);
        EXPECT_EQ(refused.status, 2) << line << "\n" << refused.err;
        EXPECT_THAT(refused.err, AllOf(HasSubstr("is both"), HasSubstr(a.name), HasSubstr(b.name)))
            << line;
        EXPECT_THAT(refused.out, IsEmpty()) << line;
        ++tried;
      }
  }
  EXPECT_GE(tried, 35);
}

void write_others(const Folder& folder) {
  for (const char* const name : {"other-input", "other-store"}) folder.write(name, "as it was");
}

TEST(NamedFiles, OneExistingFileUnderTwoNamesIsRefused) {
  const Folder folder;
  write_others(folder);
  folder.write("file", "as it was");
  std::filesystem::create_symlink("file", folder / "symbolic");
  ASSERT_EQ(::link((folder / "file").c_str(), (folder / "hard").c_str()), 0);
  for (const std::string other : {"file", "./file", "symbolic", "hard"}) {
    SCOPED_TRACE(other);
    expect_refused(folder, [&](bool first) { return first ? "file" : other; });
  }
  EXPECT_EQ(slurp(folder / "file"), "as it was");
}

TEST(NamedFiles, OneFileThatDoesNotExistYetIsRefusedToo) {
  const Folder folder;
  write_others(folder);
  std::filesystem::create_directory(folder / "inner");
  std::filesystem::create_directory_symlink("inner", folder / "link");
  std::filesystem::create_symlink("inner/new", folder / "dangling");
  const std::vector<std::pair<std::string, std::string>> spellings = {
      {"inner/new", "link/new"}, {"inner/../inner/new", "dangling"}};
  for (const auto& [a, b] : spellings) {
    // Inputs must exist for some commands' own checks; the outputs and stores are what matters.
    for (const std::string& line :
         {fmt::format("schedule --pairs other-input --annotations other-input --out {} --join {}",
                      a, b),
          fmt::format(
              "schedule --pairs other-input --annotations other-input --out {} --manifest {}", b,
              a),
          fmt::format("report --schedule other-input --out {} --card {}", a, b),
          fmt::format("annotate --pairs other-input --panel other-input --store {} --out {}", a, b),
          fmt::format("annotate --pairs other-input --panel other-input --store s.db --out {} "
                      "--failures {}",
                      a, b)}) {
      const auto refused = run(folder, line);
      if (line.starts_with("annotate") &&
          refused.err.find("The following argument") != std::string::npos)
        continue;
      EXPECT_EQ(refused.status, 2) << line << refused.err;
      EXPECT_THAT(refused.err, HasSubstr("is both")) << line;
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "inner"));
}

TEST(NamedFiles, TheFilesThatAnOptionImpliesCount) {
  const Folder folder;
  write_others(folder);
  folder.write("s.db", "as it was");
  folder.write("o.jsonl.failures", "as it was");
  std::filesystem::create_directory(folder / "pics");
  folder.write("pics/beta_ecdf.svg", "as it was");
  const std::string annotate = "annotate --pairs other-input --panel other-input --store s.db ";
  std::vector<std::string> lines = {
      "report --schedule other-input --svg pics --out pics/beta_ecdf.svg",
      "report --schedule pics/beta_ecdf.svg --svg pics"};
  if (run(folder, "annotate --help").status == 0) {
    for (const char* suffix : {"-wal", "-shm", "-journal", ".lock"}) {
      lines.push_back(annotate + "--out s.db" + suffix);
      lines.push_back(annotate + "--out o.jsonl --failures s.db" + suffix);
    }
    lines.push_back(
        "annotate --pairs o.jsonl.failures --panel other-input --store s.db --out o.jsonl");
    lines.push_back(
        "annotate --pairs other-input --panel other-input --store o.jsonl.failures --out o.jsonl");
    lines.push_back("store export s.db --out s.db-wal");
    lines.push_back(
        "batch write --pairs ask.ada.0001.jsonl --panel other-input --store s.db --out ask");
    lines.push_back(
        "batch write --pairs other-input --panel other-input --store ask.b.12345.jsonl --out "
        "./ask");
    lines.push_back("batch wait --panel b.output.jsonl --store s.db --out .");
  }
  for (const auto& line : lines) {
    const auto refused = run(folder, line);
    EXPECT_EQ(refused.status, 2) << line << "\n" << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("is both")) << line;
  }
  EXPECT_EQ(slurp(folder / "s.db"), "as it was");
  EXPECT_EQ(slurp(folder / "o.jsonl.failures"), "as it was");
  EXPECT_EQ(slurp(folder / "pics/beta_ecdf.svg"), "as it was");
}

TEST(NamedFiles, AnEmptyNameIsRefusedEverywhere) {
  const Folder folder;
  write_others(folder);
  for (const auto& command : built_commands(folder))
    for (const auto& option : options_of(folder, command)) {
      if (!is_file(option.type)) continue;
      const auto refused =
          run(folder, line_of(command, options_of(folder, command), {{option.name, ""}}));
      EXPECT_EQ(refused.status, 2) << command << " " << option.name << refused.err;
    }
  const auto refused =
      run(folder, "schedule --pairs other-input --annotations other-input --out o --join ''");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--join: the file name is empty"));
}

class Streams : public testing::Test {
 protected:
  /// Runs the program with redirections of its own.
  [[nodiscard]] Outcome redirected(const std::string& arguments) const {
    const std::string command = "cd '" + (folder / ".").string() + "' && ( '" SP2DPO_PROGRAM "' " +
                                arguments + " ) >.out 2>.err </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / ".out"),
            slurp(folder / ".err")};
  }

  Streams() {
    folder.write("p.jsonl", R"({"id":"1","prompt":"q","chosen":"good","rejected":"bad"})"
                            "\n");
    folder.write(
        "a.jsonl",
        R"({"pair_id":"1","annotator":"a","prompt":"d","category":"style","magnitude":0.5,)"
        R"("confidence":1,"preferred":"chosen"})"
        "\n");
  }
  const Folder folder;
};

TEST_F(Streams, ADashIsStandardInputOrOutput) {
  for (const char* const out : {"-", "/dev/stdout", "/dev/fd/1"}) {
    const auto made = redirected(std::string("schedule --pairs - --annotations a.jsonl --out ") +
                                 out + " --manifest m.json < p.jsonl");
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_THAT(made.out, testing::StartsWith(R"({"beta":0.165)")) << out;
    EXPECT_THAT(made.err, HasSubstr("1 beta")) << out;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "-"));
  const auto json = run(folder, "agree --annotations a.jsonl --json -");
  EXPECT_EQ(json.status, 0) << json.err;
  EXPECT_THAT(json.out, AllOf(testing::StartsWith("{"), testing::EndsWith("}\n")));
}

TEST_F(Streams, DevicesAndPipesMayBeShared) {
  const std::string schedule = "schedule --pairs p.jsonl --annotations a.jsonl ";
  EXPECT_EQ(run(folder, schedule + "--out /dev/null --manifest /dev/null").status, 0);
  EXPECT_EQ(run(folder, "winrate --preferences /dev/null --json /dev/null").status, 1);  // no rows
}

TEST_F(Streams, ARedirectedStreamCountsAsItsFile) {
  const auto before = slurp(folder / "p.jsonl");
  const auto refused =
      redirected("schedule --pairs - --annotations a.jsonl --out p.jsonl < p.jsonl");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("is both --pairs and --out"));
  EXPECT_EQ(slurp(folder / "p.jsonl"), before);
}

TEST_F(Streams, AFullStandardOutputIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  const auto full = redirected("agree --annotations a.jsonl > /dev/full");
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("standard output cannot be written: No space left"));
}

}  // namespace
}  // namespace sp2dpo::tool
