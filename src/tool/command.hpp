// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stdexcept>

#include <CLI/CLI.hpp>

namespace sp2dpo::tool {

/// What ends the program with status 2: options that make no sense (together).
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A command declares its options on `app` and returns what runs it once they are read.
using Run = std::function<void()>;
using Declare = Run(CLI::App& app);

Declare declare_agree;
Declare declare_compare;
Declare declare_import_votes;
Declare declare_schedule;
Declare declare_winrate;

}  // namespace sp2dpo::tool
