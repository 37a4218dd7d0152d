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

/// How many bytes may be read behind the end of a block or line; simdjson reads so far.
inline constexpr std::size_t padding = 64;

/// The bytes of a file from its beginning to its end, block by block, and their SHA-256. A regular
/// file of more than one block is read and hashed by a thread of its own, ahead of the caller.
class HashedFile {
 public:
  explicit HashedFile(const std::filesystem::path& path);
  HashedFile(const HashedFile&) = delete;
  HashedFile& operator=(const HashedFile&) = delete;
  ~HashedFile();

  /// The next block, good until the call after it, with `padding` more bytes behind it
  /// that can be read. Empty at the end, and where the file cannot be read: see error().
  [[nodiscard]] std::string_view next();

  /// No pipe or the like: what there is to read is there.
  [[nodiscard]] bool regular() const noexcept { return regular_; }
  /// Of the system: why the file could not be opened or read. 0: it could.
  [[nodiscard]] int error() const noexcept { return error_; }
  /// In hex; empty before the end.
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }

 private:
  struct Block {
    std::vector<char> bytes{};
    std::size_t size = 0;
    int error = 0;
    bool full = false;  // read, and not yet used up
  };

  void fill(Block& block);
  void read_ahead();

  int descriptor_;
  int error_ = 0;
  bool regular_ = false;
  Sha256 hash_;
  std::string sha256_;

  std::array<Block, 3> blocks_;
  std::size_t current_ = 0;  // the block that the caller is in
  std::mutex mutex_;         // guards `full` and stop_; the rest of a block is its holder's
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sp2dpo::text
