// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <args.hpp>

#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::tool {

/// The files that one run of a command reads and writes, each with the option that names it. A file
/// that is written may have one name only: add() refuses a second one, whatever it is spelled like.
/// Devices and pipes may have any number of names.
class NamedFiles {
 public:
  /// Adds a file before it is opened. `label` names the option in messages. Throws UsageError for
  /// an empty name, for `-` where it has no meaning, and for a file that another option names if
  /// one of the two is written.
  void add(args::FileUse use, const std::string& label, const std::filesystem::path& path);
  /// Reserves the files of a folder whose names `matches` accepts, for outputs whose names are not
  /// known yet.
  void reserve(const std::string& label, const std::filesystem::path& folder,
               std::function<bool(std::string_view)> matches);
  /// True if add() has accepted the path for writing.
  [[nodiscard]] bool writes(const std::filesystem::path& path) const;

 private:
  /// One file, whether it exists or not: two paths name the same file if all members are equal.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;  // of the file, or of the lowest folder above it that exists
    std::string rest{};       // of the path below that folder; empty if the file exists
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  struct Named {
    std::string label;
    std::filesystem::path path;  // as given
    Identity identity;
    Identity folder;   // the one that holds the file
    std::string name;  // in the folder
    bool written = false;
    bool stream = false;  // a device, a pipe or a socket
  };
  struct Reserved {
    std::string label;
    Identity folder;
    std::function<bool(std::string_view)> matches;
  };

  static Named identify(std::string label, const std::filesystem::path& path, bool written);
  void add(Named file);

  std::vector<Named> files_;
  std::vector<Reserved> reserved_;
};

/// The files of this process, which runs one command.
[[nodiscard]] NamedFiles& named_files();

/// Adds all files of the command line. If one of them is standard output, messages that the command
/// prints to `stdout` go to stderr from here on.
void add_files(const std::vector<args::NamedFile>& files);

/// Returns the path of an output. Every output is opened with a path that went through here. Throws
/// std::logic_error for one that was not added to named_files(): its option lacks file().
[[nodiscard]] const std::string& checked_output(const std::string& path);

/// Writes a whole file, atomically.
void save(const std::string& path, std::string_view text);

}  // namespace sp2dpo::tool
