// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <string>

#include "files.hpp"
#include <sys/wait.h>

namespace sp2dpo::tool {

using test::Folder;
using test::slurp;

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

/// Runs `sp2dpo <arguments>` in the folder.
inline Outcome run(const Folder& folder, const std::string& arguments) {
  const std::string command = "cd '" + (folder / ".").string() + "' && '" SP2DPO_PROGRAM "' " +
                              arguments + " >.out 2>.err </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / ".out"),
          slurp(folder / ".err")};
}

}  // namespace sp2dpo::tool
