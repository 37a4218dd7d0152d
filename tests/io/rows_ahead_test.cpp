// SPDX-License-Identifier: Apache-2.0
#include "rows_ahead.hpp"

#include <charconv>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// n rows of `size` bytes that hold their own number.
class Numbers final : public RowSource {
 public:
  Numbers(std::int64_t n, std::size_t size, bool waits) : n_(n), size_(size), waits_(waits) {}

  bool next(std::string_view& row) override {
    if (line_ == breaks_at) throw DataError(name_, line_, "", "is torn");
    if (line_ == n_) return false;
    text_ = std::to_string(++line_);
    text_.resize(size_, ' ');
    row = text_;
    return true;
  }
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t line() const noexcept override { return line_; }
  [[nodiscard]] std::int64_t bytes_read() const noexcept override {
    return line_ * static_cast<std::int64_t>(size_);
  }
  [[nodiscard]] const std::string& sha256() const noexcept override { return name_; }
  [[nodiscard]] bool waits() const noexcept override { return waits_; }
  [[nodiscard]] std::unique_ptr<RowSource> again() const override { return nullptr; }

  std::int64_t breaks_at = -1;

 private:
  std::string name_ = "numbers";
  std::int64_t n_;
  std::size_t size_;
  bool waits_;
  std::int64_t line_ = 0;
  std::string text_;
};

RowsAhead<std::int64_t>::Parse parse_number() {
  return [](std::int64_t line, std::string_view row, std::int64_t& value) {
    std::from_chars(row.data(), row.data() + row.size(), value);
    if (value % 10'007 == 0) throw DataError("numbers", line, "", "is unlucky");
  };
}

TEST(RowsAhead, ReturnsEveryRowOnceInOrder) {
  for (const bool waits : {false, true})
    for (const std::int64_t n : {0, 1, 1000, 50'000}) {
      Numbers source(n, 100, waits);
      RowsAhead<std::int64_t> rows(source, parse_number);
      std::int64_t seen = 0;
      while (rows.next()) {
        ++seen;
        ASSERT_EQ(rows.line(), seen);
        ASSERT_GE(rows.bytes_read(), 100 * seen);
        if (seen % 10'007 == 0)
          EXPECT_THAT([&] { (void)rows.value(); }, ThrowsMessage<DataError>(HasSubstr("unlucky")));
        else
          ASSERT_EQ(rows.value(), seen);
      }
      EXPECT_EQ(seen, n);
      EXPECT_FALSE(rows.next());
    }
}

TEST(RowsAhead, DoesNotReadAheadIfTheSourceMayBlock) {
  Numbers source(1000, 100, true);
  RowsAhead<std::int64_t> rows(source, parse_number);
  for (int i = 1; i < 10; ++i) {
    ASSERT_TRUE(rows.next());
    EXPECT_EQ(source.line(), i);
  }
}

TEST(RowsAhead, RethrowsErrorsOfTheSourceAfterThePrecedingRows) {
  for (const std::int64_t broken : {0, 10, 30'000}) {
    Numbers source(50'000, 100, false);
    source.breaks_at = broken;
    RowsAhead<std::int64_t> rows(source, parse_number);
    for (std::int64_t i = 0; i < broken; ++i) ASSERT_TRUE(rows.next());
    EXPECT_THAT([&] { rows.next(); }, ThrowsMessage<DataError>(HasSubstr("is torn")));
  }
}

TEST(RowsAhead, RethrowsErrorsOfTheParserAfterThePrecedingRows) {
  for (const std::int64_t wrong : {1, 10, 30'000}) {
    Numbers source(50'000, 100, false);
    RowsAhead<std::int64_t> rows(source, [wrong]() -> RowsAhead<std::int64_t>::Parse {
      return [wrong](std::int64_t line, std::string_view, std::int64_t&) {
        if (line == wrong) throw std::bad_alloc();
      };
    });
    for (std::int64_t i = 1; i < wrong; ++i) ASSERT_TRUE(rows.next());
    EXPECT_THROW(rows.next(), std::bad_alloc);
  }
}

TEST(RowsAhead, CanBeDestroyedAtAnyPoint) {
  for (std::int64_t left = 0; left < 20'000; left += 997) {
    Numbers source(50'000, 100, false);
    RowsAhead<std::int64_t> rows(source, parse_number);
    for (std::int64_t i = 0; i < left; ++i) ASSERT_TRUE(rows.next());
  }
}

TEST(RowsAhead, SkipsBlankRows) {
  class Rows final : public RowSource {
   public:
    bool next(std::string_view& row) override {
      if (line_ == std::ssize(rows_)) return false;
      text_ = rows_[static_cast<std::size_t>(line_++)];
      text_.reserve(text_.size() + padding);
      row = text_;
      return true;
    }
    [[nodiscard]] const std::string& name() const noexcept override { return text_; }
    [[nodiscard]] std::int64_t line() const noexcept override { return line_; }
    [[nodiscard]] std::int64_t bytes_read() const noexcept override { return line_; }
    [[nodiscard]] const std::string& sha256() const noexcept override { return text_; }
    [[nodiscard]] std::unique_ptr<RowSource> again() const override { return nullptr; }

   private:
    std::vector<std::string> rows_{"", "7", " \t\r", "8", ""};
    std::int64_t line_ = 0;
    std::string text_;
  } source;
  RowsAhead<std::int64_t> rows(source, parse_number);
  std::vector<std::int64_t> values, lines;
  while (rows.next()) {
    values.push_back(rows.value());
    lines.push_back(rows.line());
  }
  EXPECT_THAT(values, ElementsAre(7, 8));
  EXPECT_THAT(lines, ElementsAre(2, 4));
}

}  // namespace
}  // namespace sp2dpo::io
