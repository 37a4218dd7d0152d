// SPDX-License-Identifier: Apache-2.0
#include "line_source.hpp"

#include <cstring>
#include <system_error>

#include <zlib.h>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::size_t block = 1 << 20;

std::string reason(int error) {
  return std::generic_category().message(error);
}

}  // namespace

/// A gzip file is one compressed member or several in a row.
struct LineSource::Inflater {
  z_stream stream{};
  std::vector<char> input = std::vector<char>(block / 4);
  bool in_member = false;

  Inflater() {
    constexpr int gzip_only = 16 + MAX_WBITS;
    if (inflateInit2(&stream, gzip_only) != Z_OK) throw Error("zlib cannot start");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

LineSource::LineSource(const std::filesystem::path& path) : name_(path.string()), file_(path) {
  if (file_.error() != 0) fail("cannot be opened: " + reason(file_.error()));
  if (path.extension() == ".gz") inflater_ = std::make_unique<Inflater>();
  buffer_.resize(block + padding);
}

LineSource::~LineSource() = default;

std::unique_ptr<RowSource> LineSource::again() const {
  if (!std::filesystem::is_regular_file(name_)) return nullptr;
  return json_lines(name_);
}

void LineSource::fail(const std::string& message) const {
  throw DataError(name_, line_, "", message);
}

std::size_t LineSource::read_file(char* to, std::size_t size) {
  const std::size_t got = file_.read(to, size);
  if (file_.error() != 0) fail("cannot be read: " + reason(file_.error()));
  bytes_read_ += static_cast<std::int64_t>(got);
  return got;
}

std::size_t LineSource::read_text(char* to, std::size_t size) {
  if (!inflater_) return read_file(to, size);

  auto& stream = inflater_->stream;
  stream.next_out = reinterpret_cast<Bytef*>(to);
  stream.avail_out = static_cast<uInt>(size);
  while (stream.avail_out == size) {
    if (stream.avail_in == 0) {
      const std::size_t got = read_file(inflater_->input.data(), inflater_->input.size());
      if (got == 0 && inflater_->in_member)
        fail("the gzip data end too early; the file is truncated");
      if (got == 0) return 0;
      stream.next_in = reinterpret_cast<Bytef*>(inflater_->input.data());
      stream.avail_in = static_cast<uInt>(got);
    }
    inflater_->in_member = true;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      inflater_->in_member = false;
      inflateReset(&stream);
    } else if (result != Z_OK) {
      fail(std::string("is damaged or no gzip file, though its name ends in .gz: ") +
           (stream.msg != nullptr ? stream.msg : "inflate failed"));
    }
  }
  return size - stream.avail_out;
}

/// Makes room behind the unfinished line, and reads on.
void LineSource::fill() {
  const std::size_t kept = end_ - begin_;
  if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, kept);
  begin_ = 0;
  end_ = kept;
  if (buffer_.size() - padding - end_ < block / 2) buffer_.resize(2 * buffer_.size());
  const std::size_t got =
      read_text(buffer_.data() + end_, std::min(block, buffer_.size() - padding - end_));
  end_ += got;
  at_end_ = got == 0;
}

bool LineSource::next(std::string_view& line) {
  std::size_t searched = 0;
  for (;;) {
    const char* start = buffer_.data() + begin_;
    const std::size_t size = end_ - begin_;
    const void* feed = std::memchr(start + searched, '\n', size - searched);
    if (feed == nullptr && !at_end_) {
      searched = size;
      fill();
      continue;
    }
    if (feed == nullptr && size == 0) return false;
    const std::size_t length =
        feed != nullptr ? static_cast<std::size_t>(static_cast<const char*>(feed) - start) : size;
    line = {start, length};
    begin_ += length + (feed != nullptr ? 1 : 0);
    ++line_;
    return true;
  }
}

std::unique_ptr<RowSource> json_lines(const std::filesystem::path& path) {
  return std::make_unique<LineSource>(path);
}

}  // namespace sp2dpo::io
