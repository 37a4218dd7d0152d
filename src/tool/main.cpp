// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <system_error>
#include <utility>
#include <vector>

#include "command.hpp"
#include "named_files.hpp"
#include "text/printable.hpp"
#include <args.hpp>
#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

enum Status : int { success = 0, bad_data = 1, usage = 2 };

struct Command {
  const char* name;
  const char* summary;
  sp2dpo::tool::Declare* declare;
};

constexpr Command commands[] = {
#ifdef SP2DPO_WITH_ANNOTATE
    {"annotate", "Ask a panel of LLM judges about every pair", sp2dpo::tool::declare_annotate},
    {"batch", "Ask the panel through batch files", sp2dpo::tool::declare_batch},
    {"store", "Merge and export stores of replies", sp2dpo::tool::declare_store},
    {"explain", "Trace a beta back to the raw replies behind it", sp2dpo::tool::declare_explain},
#endif
    {"agree", "Measure agreement of annotators or other raters", sp2dpo::tool::declare_agree},
    {"compare", "Score aggregators against gold labels", sp2dpo::tool::declare_compare},
    {"winrate", "Compute win rates against a baseline, raw and length-controlled",
     sp2dpo::tool::declare_winrate},
    {"import-votes", "Turn existing pairwise judgments into annotations",
     sp2dpo::tool::declare_import_votes},
#ifdef SP2DPO_WITH_ANNOTATE
    {"import-scores", "Make annotations from scores that the pairs have already",
     sp2dpo::tool::declare_import_scores},
#endif
    {"report", "Check a schedule, and show it to people", sp2dpo::tool::declare_report},
    {"schedule", "Compute a beta for every pair from its annotations",
     sp2dpo::tool::declare_schedule},
};

/// Prints an error. It may quote files and servers, whose control characters must not reach the
/// terminal.
void complain(const std::exception& error) {
  fmt::print(stderr, "sp2dpo: {}\n", sp2dpo::text::printable(error.what()));
}

int run(int argc, char** argv) {
  sp2dpo::args::Program program(
      "sp2dpo", "Turns preference pairs and judgments into a beta per pair for DPO.");
  program.version("sp2dpo " SP2DPO_VERSION);
  program.require_subcommand();
  std::vector<std::pair<sp2dpo::args::Command, sp2dpo::tool::Run>> runs;
  for (const auto& command : commands) {
    const auto part = program.subcommand(command.name, command.summary);
    runs.emplace_back(part, command.declare(part));
  }

  if (const auto status = program.parse(argc, argv)) return *status;
  sp2dpo::tool::add_files(program.files());
  for (const auto& [part, command] : runs)
    if (part.chosen()) command();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw std::system_error(errno, std::generic_category(), "standard output cannot be written");
  return success;
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
    complain(error);
    return usage;
  } catch (const sp2dpo::tool::Unfinished& rest) {
    complain(rest);
    return rest.status;
  } catch (const std::exception& error) {
    complain(error);
    return bad_data;
  }
}
