// SPDX-License-Identifier: Apache-2.0
#include "text/hashed_file.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sp2dpo::text {

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
  block.bytes.resize(block_size + padding);
  ssize_t got;
  do got = ::read(descriptor_, block.bytes.data(), block_size);
  while (got < 0 && errno == EINTR);
  block.error = got < 0 ? errno : 0;
  block.size = got < 0 ? 0 : static_cast<std::size_t>(got);
  hash_.update({block.bytes.data(), block.size});
}

/// Fills the blocks in turn, starting with the second, until the end of the file.
void HashedFile::read_ahead() {
  for (std::size_t i = 1;; i = (i + 1) % blocks_.size()) {
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

std::string_view HashedFile::next() {
  if (!sha256_.empty() || error_ != 0) return {};
  if (thread_.joinable()) {
    std::unique_lock lock(mutex_);
    blocks_[current_].full = false;
    changed_.notify_one();
    current_ = (current_ + 1) % blocks_.size();
    changed_.wait(lock, [&] { return blocks_[current_].full; });
  } else {
    const bool first = blocks_[current_].bytes.empty();
    fill(blocks_[current_]);
    // A thread would block on a pipe whose writer stalls, and does not pay for a single block.
    if (first && regular_ && blocks_[current_].size == block_size) {
      blocks_[current_].full = true;
      thread_ = std::thread(&HashedFile::read_ahead, this);
    }
  }
  const Block& block = blocks_[current_];
  error_ = block.error;
  if (block.size == 0 && error_ == 0) sha256_ = hex(hash_.finish());
  return {block.bytes.data(), block.size};
}

}  // namespace sp2dpo::text
