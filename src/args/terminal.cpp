// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include <terminal.hpp>
#include <unistd.h>

namespace sp2dpo::args {

namespace {

bool shows_colours(std::FILE* stream) {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && terminal != nullptr &&
         std::string_view(terminal) != "dumb" && ::isatty(::fileno(stream)) == 1;
}

bool quiet = false;

}  // namespace

std::string emphasized(std::string_view text, Emphasis emphasis, std::FILE* stream) {
  if (!shows_colours(stream)) return std::string(text);
  const char* const start = emphasis == Emphasis::error     ? "\x1b[1;31m"
                            : emphasis == Emphasis::warning ? "\x1b[1;33m"
                                                            : "\x1b[1;32m";
  return start + std::string(text) + "\x1b[0m";
}

void be_quiet() {
  quiet = true;
#ifdef __GLIBC__
  // glibc documents that its stdout may be assigned to.
  if (std::FILE* const nowhere = std::fopen("/dev/null", "w")) stdout = nowhere;
#else
  (void)std::freopen("/dev/null", "w", stdout);
#endif
}

bool is_quiet() {
  return quiet;
}

}  // namespace sp2dpo::args
