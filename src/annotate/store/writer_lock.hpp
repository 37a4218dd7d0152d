// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace sp2dpo::annotate {

/// Admits one writing process at a time to a file, whatever name it is opened by. It locks the file
/// itself (flock, which SQLite's own locks do not meet on a local file system) and, for versions
/// that lock by name and for network file systems, a second file: `STORE.lock`.
class WriterLock {
 public:
  /// Creates the file if it is missing. Throws DataError, with the store's `name`, if another
  /// writer has the file.
  WriterLock(const std::string& name, const std::filesystem::path& file, bool wanted);
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  ~WriterLock();

 private:
  struct Inode;  // of this process

  void lock_inode(const std::string& name, const std::filesystem::path& file);

  int by_name_ = -1;
  Inode* inode_ = nullptr;
};

}  // namespace sp2dpo::annotate
