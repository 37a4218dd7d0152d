// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

#include "command.hpp"
#include <args.hpp>
#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

enum Status : int { fine = 0, bad_data = 1, usage = 2 };

struct Command {
  const char* name;
  const char* summary;
  sp2dpo::tool::Declare* declare;
};

constexpr Command commands[] = {
#ifdef SP2DPO_WITH_ANNOTATE
    {"annotate", "Ask a panel of teachers about every pair", sp2dpo::tool::declare_annotate},
    {"batch", "Ask it by batch files instead", sp2dpo::tool::declare_batch},
    {"store", "Merge stores of answers, and export them", sp2dpo::tool::declare_store},
    {"explain", "From a beta back to the raw answers that made it", sp2dpo::tool::declare_explain},
#endif
    {"agree", "Measure how far annotators, or any raters, agree", sp2dpo::tool::declare_agree},
    {"compare", "Hold every aggregator against gold verdicts", sp2dpo::tool::declare_compare},
    {"winrate", "Win rates against a baseline, plain and length-controlled",
     sp2dpo::tool::declare_winrate},
    {"import-votes", "Make annotations of pairwise verdicts that you have already",
     sp2dpo::tool::declare_import_votes},
    {"report", "Check a schedule, and show it to people", sp2dpo::tool::declare_report},
    {"schedule", "Make a beta for every pair from its annotations", sp2dpo::tool::declare_schedule},
};

int run(int argc, char** argv) {
  sp2dpo::args::Program program("sp2dpo",
                                "From preference pairs and judgments to a beta per pair for DPO.");
  program.version("sp2dpo " SP2DPO_VERSION);
  program.require_subcommand();
  std::vector<std::pair<sp2dpo::args::Command, sp2dpo::tool::Run>> runs;
  for (const auto& command : commands) {
    const auto part = program.subcommand(command.name, command.summary);
    runs.emplace_back(part, command.declare(part));
  }

  if (const auto status = program.parse(argc, argv)) return *status;
  for (const auto& [part, command] : runs)
    if (part.chosen()) command();
  return fine;
}

}  // namespace

int main(int argc, char** argv) {
#ifdef __GLIBC__
  // What is large goes back to the system when it is let go of, and not by chance.
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
#endif
  try {
    return run(argc, argv);
  } catch (const sp2dpo::tool::UsageError& error) {
    fmt::print(stderr, "sp2dpo: {}\n", error.what());
    return usage;
  } catch (const sp2dpo::tool::Unfinished& rest) {
    fmt::print(stderr, "sp2dpo: {}\n", rest.what());
    return rest.status;
  } catch (const std::exception& error) {
    fmt::print(stderr, "sp2dpo: {}\n", error.what());
    return bad_data;
  }
}
