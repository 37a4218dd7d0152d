// SPDX-License-Identifier: Apache-2.0
#include "hashed_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sp2dpo::io {

namespace {

constexpr std::size_t block_size = 1 << 19;

}  // namespace

HashedFile::HashedFile(const std::filesystem::path& path)
    : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    error_ = errno;
    return;
  }
  struct stat known {};
  // Of a pipe, a thread would wait for bytes that may never come.
  regular_ = ::fstat(descriptor_, &known) == 0 && S_ISREG(known.st_mode);
}

HashedFile::~HashedFile() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

void HashedFile::fill(Block& block) {
  block.bytes.resize(block_size);
  ssize_t got;
  do got = ::read(descriptor_, block.bytes.data(), block.bytes.size());
  while (got < 0 && errno == EINTR);
  block.error = got < 0 ? errno : 0;
  block.size = got < 0 ? 0 : static_cast<std::size_t>(got);
  hash_.update({block.bytes.data(), block.size});
}

/// Fills one block after the other, from the second one on, until nothing is left.
void HashedFile::read_ahead() {
  for (std::size_t i = 1;; i = 1 - i) {
    Block& block = blocks_[i];
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || !block.full; });
      if (stop_) return;
    }
    fill(block);
    {
      const std::lock_guard lock(mutex_);
      block.full = true;
    }
    changed_.notify_one();
    if (block.size == 0) return;
  }
}

HashedFile::Block& HashedFile::next_block() {
  if (!thread_.joinable()) {
    Block& block = blocks_[current_];
    const bool first = block.bytes.empty();
    fill(block);
    // A file of one block is not worth a thread.
    if (first && regular_ && block.size == block_size) {
      block.full = true;
      blocks_[1].bytes.resize(block_size);
      thread_ = std::thread(&HashedFile::read_ahead, this);
    }
    return block;
  }
  std::unique_lock lock(mutex_);
  blocks_[current_].full = false;
  changed_.notify_one();
  current_ = 1 - current_;
  changed_.wait(lock, [&] { return blocks_[current_].full; });
  return blocks_[current_];
}

std::size_t HashedFile::read(char* to, std::size_t size) {
  if (!sha256_.empty() || error_ != 0) return 0;
  if (used_ == size_) {
    const Block& block = next_block();
    used_ = 0;
    size_ = block.size;
    error_ = block.error;
    if (size_ == 0 && error_ == 0) sha256_ = hex(hash_.finish());
  }
  const std::size_t got = std::min(size, size_ - used_);
  std::memcpy(to, blocks_[current_].bytes.data() + used_, got);
  used_ += got;
  return got;
}

}  // namespace sp2dpo::io
