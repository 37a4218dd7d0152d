// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "addition.hpp"

namespace sp2dpo::annotate {

/// A file beside the store whose room on the disk is allocated before it is needed. When the disk
/// refuses the store, the additions are kept here, and the next Store takes them. Not thread-safe.
class Reserve {
 public:
  /// The file is opened by require() or read().
  explicit Reserve(const std::filesystem::path& store) : path_(store.string() + ".reserve") {}
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;
  /// Removes the file unless it holds additions.
  ~Reserve();

  /// Allocates room for so many bytes in total. Throws std::system_error if the disk has none.
  void require(std::size_t bytes);
  /// True after require().
  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Appends additions; durable when this returns. Throws std::system_error.
  void append(const std::vector<Addition>& additions);
  /// Gives back the room that the additions do not need.
  void shrink();
  /// The whole additions in the file, also of an earlier process; none if the file is missing.
  [[nodiscard]] std::vector<Addition> read() const;
  /// Removes the file and what it holds.
  void clear();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  std::size_t size_ = 0;  // allocated
  std::size_t used_ = 0;
};

}  // namespace sp2dpo::annotate
