// SPDX-License-Identifier: Apache-2.0
/// The command line of our programs: options, flags, subcommands and their help. Only one source
/// file of this library includes CLI11, which takes ten seconds to compile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sp2dpo::args {

/// The variable that an option sets. It keeps its value if the option is not given.
using Target =
    std::variant<std::string*, std::vector<std::string>*, int*, std::int64_t*, std::uint64_t*,
                 double*, std::optional<std::int64_t>*, std::optional<double>*>;

/// What the program does with the file that an option names. `-` names standard input for `read`
/// and standard output for `write`; the help shows the use as the option's type.
enum class FileUse : std::uint8_t {
  read,          ///< FILE
  read_folder,   ///< FOLDER
  write,         ///< OUTFILE
  write_folder,  ///< OUTFOLDER: files in it
  write_prefix,  ///< PREFIX: files whose names begin with it
  write_store  ///< STORE: a database, read and written, with the files that SQLite keeps beside it
};

/// A file of the command line.
struct NamedFile {
  FileUse use;
  std::string option;  ///< as written: `--out`, or `OUT` for an argument
  std::string path;
};

/// Handle of an option or flag that a Command owns.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& required(bool required = true);
  /// Prints the variable's present value in the help.
  Option& show_default();
  /// The word for the value in the help: `LOW,HIGH` instead of TEXT, N or X. Shells complete FILE
  /// and FOLDER.
  Option& value_name(const std::string& name);
  Option& separated_by(char delimiter);
  /// Accepts exactly `count` values.
  Option& takes(int count);
  /// Repeating the option overwrites its value instead of being an error.
  Option& keep_last();
  /// Heading under which the help lists the option; the help omits the option if it is empty.
  Option& group(const std::string& heading);

  /// Numbers are finite in any case.
  Option& positive();
  Option& non_negative();
  Option& between(std::int64_t lowest, std::int64_t highest);
  Option& one_of(std::vector<std::string> values);
  /// Declares that the values name files, for Program::files().
  Option& file(FileUse use);
  Option& existing_file();
  Option& existing_folder();

  /// The option may only be given together with `other`.
  Option& needs(Option other);
  /// The option may not be given together with `other`.
  Option& excludes(Option other);
  Option& excludes(const std::string& other);

  /// True after parsing if the command line has the option.
  [[nodiscard]] bool given() const;

 private:
  CLI::Option* option_;
};

/// Handle of a program's or subcommand's options. Valid as long as the Program.
class Command {
 public:
  /// `name`: "--name", "-n,--name", or "NAME" for a positional argument.
  Option option(const std::string& name, Target value, const std::string& help);
  Option flag(const std::string& name, bool* value, const std::string& help);
  /// Adds a flag to this command and to all subcommands that it has by now.
  void common_flag(const std::string& name, bool* value, const std::string& help);
  /// Heading under which the help lists the options that follow. The help keeps the order in which
  /// headings appear, but lists "Output" and "Other" last.
  void section(const std::string& heading);
  /// `heading`: under which the help of this command lists the subcommand.
  Command subcommand(const std::string& name, const std::string& summary,
                     const std::string& heading = "Commands");
  void require_subcommand();
  /// Text below the options in the help.
  void footer(const std::string& text);

  /// True after parsing if the command line names this subcommand.
  [[nodiscard]] bool chosen() const;

 protected:
  explicit Command(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

/// The root command. Not thread-safe, like its handles.
class Program : public Command {
 public:
  Program(const std::string& name, const std::string& summary);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Adds `--version`, which prints `text`.
  void version(const std::string& text);

  /// Reads the command line into the variables. Returns the status to exit with if the program ends
  /// here: 0 after printing the help or the version, 2 after printing to stderr what is wrong, or
  /// the help if a subcommand is missing.
  [[nodiscard]] std::optional<int> parse(int argc, char** argv);

  /// Returns a script that completes this program's commands, options and values in `shell`, bash
  /// or zsh.
  [[nodiscard]] std::string completion(std::string_view shell) const;
  /// Returns the manual pages by file name, such as `sp2dpo-schedule.1`: one per command.
  [[nodiscard]] std::map<std::string, std::string> man_pages() const;

  /// Returns the files that the parsed command line names, in the order of the declarations. An
  /// empty name is kept.
  [[nodiscard]] std::vector<NamedFile> files() const;

 private:
  std::unique_ptr<CLI::App> owned_;
};

}  // namespace sp2dpo::args
