// SPDX-License-Identifier: Apache-2.0
#include "text/lines.hpp"

#include <system_error>

#include <zlib.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::text {

namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

}  // namespace

/// Decompresses a gzip file of one or more members.
struct Lines::Inflater {
  static constexpr std::size_t block = std::size_t{1} << 20;

  z_stream stream{};
  std::vector<char> text = std::vector<char>(block + padding);
  bool in_member = false;

  Inflater() {
    constexpr int gzip_only = 16 + MAX_WBITS;
    if (inflateInit2(&stream, gzip_only) != Z_OK) throw Error("cannot initialise zlib");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

Lines::Lines(const std::filesystem::path& path) : name_(path.string()), file_(path) {
  if (file_.error() != 0) fail("cannot be opened: " + reason(file_.error()));
  if (path.extension() == ".gz") inflater_ = std::make_unique<Inflater>();
}

Lines::~Lines() = default;

void Lines::fail(const std::string& message) const {
  throw DataError(name_, line_, "", message);
}

std::string_view Lines::read_file() {
  const auto bytes = file_.next();
  if (file_.error() != 0) fail("cannot be read: " + reason(file_.error()));
  bytes_read_ += std::ssize(bytes);
  return bytes;
}

std::string_view Lines::read_text() {
  if (!inflater_) return read_file();

  auto& [stream, text, in_member] = *inflater_;
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = Inflater::block;
  while (stream.avail_out == Inflater::block) {
    if (stream.avail_in == 0) {
      const auto bytes = read_file();
      if (bytes.empty() && in_member) fail("truncated gzip file");
      if (bytes.empty()) return {};
      // zlib does not write through next_in, although it is not const.
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream.avail_in = static_cast<uInt>(bytes.size());
    }
    in_member = true;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      in_member = false;
      inflateReset(&stream);
    } else if (result != Z_OK) {
      fail(std::string("damaged, or not gzip although the name ends in .gz: ") +
           (stream.msg != nullptr ? stream.msg : "inflate failed"));
    }
  }
  return {text.data(), Inflater::block - stream.avail_out};
}

bool Lines::next(std::string_view& line) {
  straddler_.clear();
  for (;;) {
    const auto feed = text_.find('\n');
    line = text_.substr(0, feed);
    text_.remove_prefix(feed == text_.npos ? text_.size() : feed + 1);
    if (feed == text_.npos || !straddler_.empty()) {
      straddler_.insert(straddler_.end(), line.begin(), line.end());
      if (feed == text_.npos && !at_end_) {
        text_ = read_text();
        at_end_ = text_.empty();
        continue;
      }
      if (feed == text_.npos && straddler_.empty()) return false;
      straddler_.reserve(straddler_.size() + padding);
      line = {straddler_.data(), straddler_.size()};
    }
    ++line_;
    return true;
  }
}

}  // namespace sp2dpo::text
