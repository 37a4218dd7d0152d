// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "addition.hpp"
#include <sqlite3.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {

/// The disk is full or refuses to write for another reason.
struct DiskError : DataError {
  using DataError::DataError;
};

/// A connection. Failures throw DataError with the file's name and SQLite's message.
class Database {
 public:
  /// `name` is for messages. `file` is an absolute path, or a URI with SQLITE_OPEN_URI.
  Database(std::string name, const std::string& file, int flags) : name_(std::move(name)) {
    sqlite3* opened = nullptr;
    const int status = sqlite3_open_v2(file.c_str(), &opened, flags, nullptr);
    handle_.reset(opened);
    check(status);
    check(sqlite3_extended_result_codes(opened, 1));
  }

  void check(int status) const {
    if (status == SQLITE_OK || status == SQLITE_ROW || status == SQLITE_DONE) return;
    const char* const message =
        handle_ == nullptr ? sqlite3_errstr(status) : sqlite3_errmsg(handle_.get());
    constexpr int primary_code = 0xff;
    if ((status & primary_code) == SQLITE_FULL || (status & primary_code) == SQLITE_IOERR)
      throw DiskError(name_, 0, "", message);
    fail(message);
  }
  [[noreturn]] void fail(const std::string& message) const {
    throw DataError(name_, 0, "", message);
  }
  void run(const char* sql) const {
    check(sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr));
  }

  [[nodiscard]] sqlite3* handle() const noexcept { return handle_.get(); }
  [[nodiscard]] std::int64_t changes() const { return sqlite3_changes64(handle_.get()); }
  /// True between BEGIN and its end, which some errors bring about.
  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };

  std::string name_;
  std::unique_ptr<sqlite3, Close> handle_;
};

/// A prepared statement.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql) : database_(&database) {
    sqlite3_stmt* prepared = nullptr;
    database.check(sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &prepared, nullptr));
    handle_.reset(prepared);
  }

  /// Resets the statement and binds all parameters in order. Texts must outlive the run.
  template <class... Values>
  Statement& with(const Values&... values) {
    sqlite3_reset(handle_.get());
    int place = 0;
    (bind(++place, values), ...);
    return *this;
  }
  /// The same with a list of values.
  Statement& with_all(const std::vector<Value>& values) {
    sqlite3_reset(handle_.get());
    int place = 0;
    for (const auto& value : values)
      std::visit([&](const auto& held) { bind(++place, held); }, value);
    return *this;
  }
  /// Advances to the next row. Returns false at the end, and holds no lock then.
  bool next() {
    const int status = sqlite3_step(handle_.get());
    if (status == SQLITE_ROW) return true;
    sqlite3_reset(handle_.get());
    database_->check(status);
    return false;
  }
  /// Runs the statement to its end and returns how many rows it changed.
  std::int64_t run() {
    while (next()) {
    }
    return database_->changes();
  }

  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
  }
  [[nodiscard]] std::int64_t integer(int column) const {
    return sqlite3_column_int64(handle_.get(), column);
  }
  [[nodiscard]] double number(int column) const {
    return sqlite3_column_double(handle_.get(), column);
  }
  [[nodiscard]] std::string text(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_.get(), column));
    const int size = sqlite3_column_bytes(handle_.get(), column);
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
  }

 private:
  void bind(int place, std::string_view text) {
    database_->check(sqlite3_bind_text64(handle_.get(), place, text.data() ? text.data() : "",
                                         text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind(int place, const std::string& text) { bind(place, std::string_view(text)); }
  void bind(int place, const Bytes& blob) {
    database_->check(sqlite3_bind_blob64(handle_.get(), place, blob.bytes.data(), blob.bytes.size(),
                                         SQLITE_STATIC));
  }
  void bind(int place, std::int64_t value) {
    database_->check(sqlite3_bind_int64(handle_.get(), place, value));
  }
  void bind(int place, int value) { bind(place, static_cast<std::int64_t>(value)); }
  void bind(int place, double value) {
    database_->check(sqlite3_bind_double(handle_.get(), place, value));
  }
  void bind(int place, std::nullptr_t) {
    database_->check(sqlite3_bind_null(handle_.get(), place));
  }
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace sp2dpo::annotate
