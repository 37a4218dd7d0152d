// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sp2dpo::args {

/// What help, completion and manual say about an option or a positional argument.
struct OptionText {
  std::vector<std::string> names;  ///< "-p", "--pairs"; empty for a positional argument
  std::string value{};  ///< "FILE", or the allowed words as "error|first"; empty for a flag
  std::string help;
  std::string heading;
  std::string standard;  ///< default; may be empty
  bool required = false;
  bool repeats = false;  ///< takes any number of values
};

/// What they say about a command.
struct CommandText {
  std::string path;  ///< "sp2dpo schedule"
  std::string summary;
  std::string heading;
  std::string footer;
  std::vector<OptionText> options{};    ///< by heading, in the order of the help
  std::vector<OptionText> arguments{};  ///< positional
  std::vector<CommandText> commands{};  ///< by heading, in the order of the help

  [[nodiscard]] std::string_view name() const {
    return std::string_view(path).substr(path.rfind(' ') + 1);
  }
};

/// Returns "sp2dpo schedule --pairs FILE --out FILE [OPTION...]".
[[nodiscard]] std::string usage(const CommandText& command);

/// The help in lines of at most 100 columns.
[[nodiscard]] std::string help_text(const CommandText& command);

[[nodiscard]] std::string bash_completion(const CommandText& program);
[[nodiscard]] std::string zsh_completion(const CommandText& program);

/// Adds the pages of the command and its subcommands.
void add_man_pages(std::map<std::string, std::string>& pages, const CommandText& command,
                   std::string_view version);

}  // namespace sp2dpo::args
