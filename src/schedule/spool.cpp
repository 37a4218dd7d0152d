// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "temporary_file.hpp"

#include <sp2dpo/schedule/detail/spool.hpp>

namespace sp2dpo::detail {

namespace {

constexpr std::size_t block_size = std::size_t{1} << 16;

}  // namespace

struct Spool::Segment {
  TemporaryFile file{};
  std::int64_t written = 0;       // bytes in the file
  std::vector<char> unwritten{};  // bytes after them
};

Spool::Spool() = default;
Spool::~Spool() = default;
Spool::Spool(Spool&&) noexcept = default;
Spool& Spool::operator=(Spool&&) noexcept = default;

void Spool::append(const void* bytes, std::size_t size) {
  if (segments_.empty()) segments_.emplace_back();
  Segment& segment = segments_.back();
  const auto* const first = static_cast<const char*>(bytes);
  segment.unwritten.insert(segment.unwritten.end(), first, first + size);
  if (segment.unwritten.size() < block_size) return;
  segment.file.append(segment.unwritten.data(), segment.unwritten.size());
  segment.written += std::ssize(segment.unwritten);
  segment.unwritten.clear();
}

void Spool::append(Spool&& other) {
  std::ranges::move(other.segments_, std::back_inserter(segments_));
  other.segments_.clear();
}

void Spool::Reader::read(void* to, std::size_t size) {
  auto* out = static_cast<char*>(to);
  while (size > 0) {
    if (used_ == block_.size()) {
      refill();
      continue;
    }
    const std::size_t some = std::min(size, block_.size() - used_);
    std::memcpy(out, block_.data() + used_, some);
    used_ += some;
    out += some;
    size -= some;
  }
}

void Spool::Reader::refill() {
  used_ = 0;
  block_.clear();
  if (std::exchange(tail_, false)) {
    ++segment_;
    offset_ = 0;
  }
  const Segment& segment = spool_->segments_.at(segment_);
  const std::int64_t left = segment.written - offset_;
  if (left == 0) {
    block_ = segment.unwritten;
    tail_ = true;
    return;
  }
  block_.resize(std::min(block_size, static_cast<std::size_t>(left)));
  segment.file.read(offset_, block_.data(), block_.size());
  offset_ += std::ssize(block_);
}

}  // namespace sp2dpo::detail
