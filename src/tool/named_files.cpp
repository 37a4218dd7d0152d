// SPDX-License-Identifier: Apache-2.0
#include "named_files.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "command.hpp"
#include "text/real_path.hpp"
#include <fmt/format.h>
#include <sys/stat.h>

namespace sp2dpo::tool {

namespace {

namespace fs = std::filesystem;
using args::FileUse;

/// The names that SQLite and the store add to a store's own.
constexpr std::array store_suffixes = {"-wal", "-shm", "-journal", ".lock", ".reserve", ".v1"};
constexpr std::array database_suffixes = {"-wal", "-shm"};

fs::path resolved(const fs::path& path) {
  fs::path real = text::link_target(path);
  if (real.has_parent_path() && !real.has_filename()) real = real.parent_path();  // "folder/"
  return real;
}

bool exists(const fs::path& path, struct stat& found) {
  return ::stat(path.c_str(), &found) == 0;
}

bool is_standard_output(const fs::path& path) {
  const std::string name = path.lexically_normal().string();
  std::error_code different;
  return (name.starts_with("/dev/") || name.starts_with("/proc/")) &&
         fs::equivalent(path, "/dev/stdout", different);
}

[[noreturn]] void fail_as_double(const fs::path& path, const std::string& first,
                                 const std::string& second) {
  throw UsageError(
      fmt::format("{} is both {} and {}; nothing was read or written: name another file",
                  path.string(), first, second));
}

}  // namespace

NamedFiles::Named NamedFiles::identify(std::string label, const fs::path& path, bool written) {
  Named file{.label = std::move(label), .path = path, .identity = {}, .folder = {}, .name = {}};
  file.written = written;
  struct stat found {};
  const auto identity_of = [](const struct stat& of) {
    return Identity{.device = of.st_dev, .inode = of.st_ino};
  };
  const fs::path real = resolved(path);
  file.name = real.filename().string();
  fs::path folder = real.has_parent_path() ? real.parent_path() : fs::path(".");
  if (exists(folder, found)) file.folder = identity_of(found);
  if (exists(path, found)) {
    file.identity = identity_of(found);
    file.stream = !S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode);
    return file;
  }
  fs::path rest = real.filename();
  while (!exists(folder, found) && folder.has_relative_path()) {
    rest = folder.filename() / rest;
    folder = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  }
  file.identity = identity_of(found);
  file.identity.rest = rest.lexically_normal().string();
  return file;
}

void NamedFiles::add(Named file) {
  if (!file.stream) {
    for (const auto& other : files_)
      if ((file.written || other.written) && !other.stream && other.identity == file.identity)
        fail_as_double(file.path, other.label, file.label);
    for (const auto& other : reserved_)
      if (other.folder == file.folder && other.matches(file.name))
        fail_as_double(file.path, file.label, other.label);
  }
  files_.push_back(std::move(file));
}

void NamedFiles::add(FileUse use, const std::string& label, const fs::path& path) {
  if (path.empty())
    throw UsageError(fmt::format("{}: the file name is empty; expected a name", label));
  if (path == "-")
    throw UsageError(
        fmt::format("{}: - does not name a file here; write ./- for a file of that name", label));
  const bool written = use != FileUse::read && use != FileUse::read_folder;
  switch (use) {
    case FileUse::write_folder:
      return;  // the command adds the files
    case FileUse::write_prefix: {
      const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
      reserve(label, folder, [prefix = path.filename().string() + "."](std::string_view name) {
        constexpr std::string_view end = ".jsonl";
        if (!name.starts_with(prefix) || !name.ends_with(end)) return false;
        name.remove_suffix(end.size());
        const auto dot = name.rfind('.');
        return dot + 1 >= prefix.size() && name.size() - dot > 4 &&
               std::ranges::all_of(name.substr(dot + 1),
                                   [](char c) { return c >= '0' && c <= '9'; });
      });
      return;
    }
    case FileUse::read_folder: {
      std::error_code unreadable;
      for (const auto& entry : fs::directory_iterator(path, unreadable))
        if (entry.is_regular_file(unreadable))
          add(identify(label + ", which holds " + entry.path().filename().string(), entry.path(),
                       false));
      return;
    }
    default:
      add(identify(label, path, written));
  }
  const auto add_beside = [&](const char* suffix) {
    const fs::path beside = resolved(path).string() + suffix;
    add(identify(fmt::format("{} (for its {})", label, beside.filename().string()), beside,
                 written));
  };
  if (use == FileUse::write_store)
    for (const char* const suffix : store_suffixes) add_beside(suffix);
  if (use == FileUse::read && !files_.back().stream)
    for (const char* const suffix : database_suffixes) add_beside(suffix);
}

void NamedFiles::reserve(const std::string& label, const fs::path& folder,
                         std::function<bool(std::string_view)> matches) {
  struct stat found {};
  if (!exists(folder, found)) return;  // nothing can be in it yet
  Reserved added{label, {.device = found.st_dev, .inode = found.st_ino}, std::move(matches)};
  for (const auto& file : files_)
    if (!file.stream && file.folder == added.folder && added.matches(file.name))
      fail_as_double(file.path, file.label, label);
  reserved_.push_back(std::move(added));
}

bool NamedFiles::writes(const fs::path& path) const {
  return std::ranges::any_of(files_,
                             [&](const Named& file) { return file.written && file.path == path; });
}

NamedFiles& named_files() {
  static NamedFiles files;
  return files;
}

void add_files(const std::vector<args::NamedFile>& files) {
  for (const auto& file : files) named_files().add(file.use, file.option, file.path);
#ifdef __GLIBC__
  // glibc documents that its stdin, stdout and stderr may be assigned to.
  for (const auto& file : files)
    if (file.use == FileUse::write && is_standard_output(file.path)) stdout = stderr;
#endif
}

const std::string& checked_output(const std::string& path) {
  if (!named_files().writes(path))
    throw std::logic_error(path + " is written but is not among the named files");
  return path;
}

void save(const std::string& path, std::string_view text) {
  io::OutputFile out(checked_output(path));
  out.write(text);
  out.commit();
}

}  // namespace sp2dpo::tool
