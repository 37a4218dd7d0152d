// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// Parses the rows of a source into values, some blocks ahead of the caller, and returns them in
/// order. Worker threads parse; the calling thread parses too when it would otherwise block.
/// Sources that may block, and those of a single block, are parsed by the calling thread alone.
template <class Value>
class RowsAhead {
 public:
  /// Parses a row, after which RowSource::padding bytes are readable. Throws DataError for an
  /// invalid row.
  using Parse = std::function<void(std::int64_t line, std::string_view row, Value& value)>;

  /// Uses the source exclusively; the source must outlive it. `make_parse` makes a Parse for each
  /// thread.
  RowsAhead(RowSource& source, std::function<Parse()> make_parse)
      : source_(source), make_parse_(std::move(make_parse)), parse_(make_parse_()) {}
  RowsAhead(const RowsAhead&) = delete;
  RowsAhead& operator=(const RowsAhead&) = delete;

  ~RowsAhead() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    emptied_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  /// Advances to the next row that is not blank; false at the end. Rethrows what the source throws,
  /// and what Parse throws other than DataError.
  bool next() {
    for (++row_;; row_ = 0) {
      Block& block = blocks_[current_];
      if (row_ < block.lines.size()) return true;
      if (block.broken) std::rethrow_exception(block.broken);
      if (block.last) return false;
      if (threads_.empty()) {
        fill(block);
        parse(block, parse_);
        start_threads(block);
      } else {
        advance();
      }
    }
  }

  /// The value of the current row, which may be moved from. Throws the DataError of an invalid row.
  [[nodiscard]] Value& value() {
    Block& block = blocks_[current_];
    const auto error = std::ranges::lower_bound(block.errors, row_, {}, &Error::first);
    if (error != block.errors.end() && error->first == row_) throw error->second;
    return block.values[row_];
  }

  [[nodiscard]] std::int64_t line() const { return blocks_[current_].lines[row_].number; }
  [[nodiscard]] std::int64_t bytes_read() const { return blocks_[current_].bytes_read; }

 private:
  static constexpr std::size_t block_size = std::size_t{1} << 17;

  struct Line {
    std::size_t begin, size;
    std::int64_t number;
  };
  using Error = std::pair<std::size_t, DataError>;  // index of a line in its block
  struct Block {
    std::string text;
    std::vector<Line> lines;
    std::vector<Value> values;  // one per line; the rest keep their memory
    std::vector<Error> errors;
    std::exception_ptr broken;    // exception thrown after the lines
    bool last = false;            // true at the end of the source
    std::int64_t bytes_read = 0;  // by the source so far
    enum class State : std::uint8_t { empty, in_work, ready } state = State::empty;
  };

  void fill(Block& block) {
    block.text.clear();
    block.lines.clear();
    try {
      block.text.reserve(block_size + block_size / 8);
      std::string_view line;
      while (block.text.size() < block_size) {
        if (!source_.next(line)) {
          block.last = true;
          break;
        }
        if (is_blank_row(line)) continue;
        block.lines.push_back({block.text.size(), line.size(), source_.line()});
        block.text += line;
        if (source_.waits()) break;
      }
    } catch (...) {
      block.broken = std::current_exception();
    }
    block.bytes_read = source_.bytes_read();
    block.text.append(RowSource::padding, ' ');
  }

  /// Exceptions other than DataError reach the caller after the preceding rows and end the reading.
  static void parse(Block& block, const Parse& parse_row) {
    const std::size_t n = block.lines.size();
    std::size_t done = 0;
    block.errors.clear();
    try {
      if (block.values.capacity() < n) block.values.reserve(n + n / 8);
      if (block.values.size() < n) block.values.resize(n);
      for (; done < n; ++done) {
        const Line& line = block.lines[done];
        try {
          parse_row(line.number, {block.text.data() + line.begin, line.size}, block.values[done]);
        } catch (const DataError& error) {
          block.errors.emplace_back(done, error);
        }
      }
    } catch (...) {
      block.broken = std::current_exception();
      block.lines.resize(done);
    }
  }

  void start_threads(const Block& first) {
    if (first.last || first.broken || source_.waits()) return;
    blocks_[current_].state = Block::State::ready;
    next_ = current_ + 1;
    // Leave one processor to the caller.
    const std::size_t others = std::max(std::thread::hardware_concurrency(), 2U) - 1;
    const std::size_t n = std::min(others, max_threads);
    for (std::size_t i = 0; i < n; ++i) threads_.emplace_back([this] { work(); });
  }

  void work() {
    const Parse parse_row = make_parse_();
    for (;;) {
      std::unique_lock filling(filling_);
      if (!make_block(std::move(filling), parse_row, true)) return;
    }
  }

  /// Fills the next block, then parses it while other threads fill theirs. Returns false without
  /// doing anything at the end, when stopped, or if all blocks are full and `wait` is false.
  bool make_block(std::unique_lock<std::mutex> filling, const Parse& parse_row, bool wait) {
    // One thread at a time, so that blocks keep the order of the file.
    if (at_end_) return false;
    Block& block = blocks_[next_];
    {
      std::unique_lock lock(mutex_);
      const auto is_empty = [&] { return block.state == Block::State::empty; };
      if (wait) emptied_.wait(lock, [&] { return stop_ || is_empty(); });
      if (stop_ || !is_empty()) return false;
      block.state = Block::State::in_work;
    }
    fill(block);
    next_ = (next_ + 1) % blocks_.size();
    at_end_ = block.last || block.broken;
    filling.unlock();
    parse(block, parse_row);
    {
      const std::lock_guard lock(mutex_);
      block.state = Block::State::ready;
    }
    ready_.notify_one();
    return true;
  }

  /// Returns the current block and advances to the next; makes blocks itself while it would wait.
  void advance() {
    std::unique_lock lock(mutex_);
    blocks_[current_].state = Block::State::empty;
    emptied_.notify_one();  // one thread waits for it; the others wait for filling_
    current_ = (current_ + 1) % blocks_.size();
    const auto is_ready = [&] { return blocks_[current_].state == Block::State::ready; };
    while (!is_ready()) {
      lock.unlock();
      std::unique_lock filling(filling_, std::try_to_lock);
      const bool made = filling.owns_lock() && make_block(std::move(filling), parse_, false);
      lock.lock();
      if (!made) ready_.wait(lock, is_ready);
    }
  }

  static constexpr std::size_t max_threads = 4;

  RowSource& source_;
  const std::function<Parse()> make_parse_;
  const Parse parse_;  // the calling thread's
  std::array<Block, 8 + max_threads> blocks_;
  std::size_t current_ = 0;                         // the caller's block
  std::size_t row_ = static_cast<std::size_t>(-1);  // row in that block

  std::mutex filling_;  // guards the source and the next two members
  std::size_t next_ = 0;
  bool at_end_ = false;
  std::mutex mutex_;  // guards states and stop_; whoever holds a block owns the rest of it
  std::condition_variable emptied_, ready_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sp2dpo::io
