// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "command.hpp"
#include "named_files.hpp"
#include "text/printable.hpp"
#include <args.hpp>
#include <fmt/format.h>
#include <terminal.hpp>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

enum Status : int { success = 0, bad_data = 1, usage = 2 };

struct Command {
  const char* heading;
  const char* name;
  const char* summary;
  sp2dpo::tool::Declare* declare;
};

// In the order of the work, which is that of the help.
constexpr Command commands[] = {
#ifdef SP2DPO_WITH_ANNOTATE
    {"Judgments", "annotate", "Ask a panel of LLM judges about every pair",
     sp2dpo::tool::declare_annotate},
    {"Judgments", "batch", "Ask the panel through batch files", sp2dpo::tool::declare_batch},
    {"Judgments", "store", "Merge and export stores of replies", sp2dpo::tool::declare_store},
    {"Judgments", "import-scores", "Make annotations from scores that the pairs have already",
     sp2dpo::tool::declare_import_scores},
#endif
    {"Judgments", "import-votes", "Turn existing pairwise judgments into annotations",
     sp2dpo::tool::declare_import_votes},
    {"Quality of judgments", "agree", "Measure agreement of annotators or other raters",
     sp2dpo::tool::declare_agree},
    {"Quality of judgments", "compare", "Score aggregators against gold labels",
     sp2dpo::tool::declare_compare},
    {"Schedules", "schedule", "Compute a beta for every pair from its annotations",
     sp2dpo::tool::declare_schedule},
    {"Schedules", "report", "Check a schedule, and show it to people",
     sp2dpo::tool::declare_report},
#ifdef SP2DPO_WITH_ANNOTATE
    {"Schedules", "explain", "Trace a beta back to the raw replies behind it",
     sp2dpo::tool::declare_explain},
#endif
    {"Trained models", "winrate", "Compute win rates against a baseline, raw and length-controlled",
     sp2dpo::tool::declare_winrate},
};

/// Declares the commands that write what the shell and man know of this program.
void declare_own_texts(sp2dpo::args::Program& program, std::string& shell, std::string& folder) {
  auto completion = program.subcommand("completion", "Print a script that completes command lines",
                                       "This program");
  completion.option("SHELL", &shell, "Shell that reads the script: bash or zsh")
      .one_of({"bash", "zsh"})
      .required();
  completion.footer(
      "Examples:\n"
      "  source <(sp2dpo completion bash)\n"
      "  sp2dpo completion zsh > ~/.zfunc/_sp2dpo");
  program.subcommand("man", "Write the manual pages", "This program")
      .option("FOLDER", &folder, "Existing folder for the pages, such as man1")
      .file(sp2dpo::args::FileUse::write_folder)
      .existing_folder()
      .required();
}

void write_man_pages(const sp2dpo::args::Program& program, const std::filesystem::path& folder) {
  for (const auto& [name, text] : program.man_pages()) {
    const auto page = (folder / name).string();
    sp2dpo::tool::named_files().add(sp2dpo::args::FileUse::write, "FOLDER", page);
    sp2dpo::tool::save(page, text);
  }
}

int run(int argc, char** argv) {
  sp2dpo::args::Program program(
      "sp2dpo", "Turns preference pairs and judgments into a beta per pair for DPO.");
  program.version("sp2dpo " SP2DPO_VERSION);
  program.require_subcommand();
  std::vector<std::pair<sp2dpo::args::Command, sp2dpo::tool::Run>> runs;
  for (const auto& command : commands) {
    const auto part = program.subcommand(command.name, command.summary, command.heading);
    runs.emplace_back(part, command.declare(part));
  }
  std::string shell;
  std::string folder;
  declare_own_texts(program, shell, folder);
  bool quiet = false;
  program.common_flag("-q,--quiet", &quiet, "Print errors and warnings only, and no progress");

  if (const auto status = program.parse(argc, argv)) return *status;
  sp2dpo::tool::add_files(program.files());
  if (!shell.empty()) std::fputs(program.completion(shell).c_str(), stdout);
  if (!folder.empty()) write_man_pages(program, folder);
  if (quiet) sp2dpo::args::be_quiet();
  for (const auto& [part, command] : runs)
    if (part.chosen()) command();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw std::system_error(errno, std::generic_category(), "standard output cannot be written");
  return success;
}

/// Prints an error. It may quote files and servers, whose control characters must not reach the
/// terminal.
void print_error(const char* what) {
  fmt::print(stderr, "{} {}\n",
             sp2dpo::args::emphasized("sp2dpo:", sp2dpo::args::Emphasis::error, stderr),
             sp2dpo::text::printable(what));
}

}  // namespace

int main(int argc, char** argv) {
#ifdef __GLIBC__
  // Return large blocks to the system as soon as they are freed.
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
#endif
  // A limit on the size of files (ulimit -f) is an error of the write, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const sp2dpo::tool::UsageError& error) {
    print_error(error.what());
    return usage;
  } catch (const sp2dpo::tool::Unfinished& rest) {
    print_error(rest.what());
    return rest.status;
  } catch (const std::exception& error) {
    print_error(error.what());
    return bad_data;
  }
}
