// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include <args.hpp>

namespace sp2dpo::tool {

/// Ends the program with status 2: invalid options, or options that contradict each other.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Ends the program with the given status although nothing failed: unfinished work, or a check that
/// warns.
struct Unfinished : std::runtime_error {
  Unfinished(int status_, const std::string& message)
      : std::runtime_error(message), status(status_) {}

  int status;
};

/// Declares a command's options on `app` and returns the function that runs it after parsing.
using Run = std::function<void()>;
using Declare = Run(args::Command app);

Declare declare_agree;
Declare declare_annotate;
Declare declare_batch;
Declare declare_compare;
Declare declare_explain;
Declare declare_import_scores;
Declare declare_import_votes;
Declare declare_report;
Declare declare_schedule;
Declare declare_store;
Declare declare_winrate;

}  // namespace sp2dpo::tool
