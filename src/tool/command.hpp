// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include <args.hpp>

namespace sp2dpo::tool {

/// What ends the program with status 2: options that make no sense (together).
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What ends the program with a status of its own, although nothing went wrong: work that is left,
/// a check that found something.
struct Unfinished : std::runtime_error {
  Unfinished(int status_, const std::string& message)
      : std::runtime_error(message), status(status_) {}

  int status;
};

/// A command declares its options on `app` and returns what runs it once they are read.
using Run = std::function<void()>;
using Declare = Run(args::Command app);

Declare declare_agree;
Declare declare_annotate;
Declare declare_batch;
Declare declare_compare;
Declare declare_explain;
Declare declare_import_votes;
Declare declare_report;
Declare declare_schedule;
Declare declare_store;
Declare declare_winrate;

}  // namespace sp2dpo::tool
