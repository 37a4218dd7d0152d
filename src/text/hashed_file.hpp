// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "text/sha256.hpp"

namespace sp2dpo::text {

/// Number of readable bytes after the end of a block or line, as simdjson requires.
inline constexpr std::size_t padding = 64;

/// Reads a file block by block and computes its SHA-256. A regular file of more than one block is
/// read and hashed ahead of the caller by a separate thread.
class HashedFile {
 public:
  explicit HashedFile(const std::filesystem::path& path);
  HashedFile(const HashedFile&) = delete;
  HashedFile& operator=(const HashedFile&) = delete;
  ~HashedFile();

  /// The next block, valid until the next call, with `padding` readable bytes after it. Empty at
  /// the end and on errors: see error().
  [[nodiscard]] std::string_view next();

  /// True for regular files, whose reads do not block.
  [[nodiscard]] bool regular() const noexcept { return regular_; }
  /// errno of the failed open or read; 0 on success.
  [[nodiscard]] int error() const noexcept { return error_; }
  /// SHA-256 in hex; empty before the end of the file.
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }

 private:
  struct Block {
    std::vector<char> bytes{};
    std::size_t size = 0;
    int error = 0;
    bool full = false;  // read, not yet consumed
  };

  void fill(Block& block);
  void read_ahead();

  int descriptor_;
  int error_ = 0;
  bool regular_ = false;
  Sha256 hash_;
  std::string sha256_;

  std::array<Block, 3> blocks_;
  std::size_t current_ = 0;  // the caller's block
  std::mutex mutex_;         // guards `full` and stop_; whoever holds a block owns the rest of it
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sp2dpo::text
