// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "text/field.hpp"
#include <simdjson.h>

#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// Parses rows one at a time. One document per row, so that a bad row cannot affect another and
/// every byte is validated.
class RowParser {
 public:
  /// Parses the row `text` of that file, after which RowSource::padding bytes must be readable. The
  /// result is valid until the next call. Throws DataError if the row is not a JSON object.
  [[nodiscard]] text::Field operator()(const std::string& file, std::int64_t line,
                                       std::string_view text);

 private:
  simdjson::dom::parser parser_;
};

/// Reads the rows of a source as JSON objects.
class JsonRows {
 public:
  explicit JsonRows(std::unique_ptr<RowSource> source);

  /// Advances to the next row that is not blank; false at the end of the file.
  bool next();
  /// The current row, valid until next(). Throws DataError if it is not a JSON object.
  [[nodiscard]] text::Field row();
  /// Its text without surrounding white space.
  [[nodiscard]] std::string_view text() const;

  [[nodiscard]] RowSource& source() const noexcept { return *source_; }

 private:
  std::unique_ptr<RowSource> source_;
  std::string_view text_;
  RowParser parser_;
};

}  // namespace sp2dpo::io
