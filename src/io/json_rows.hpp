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

/// Makes fields of rows, one at a time. One document per row: a bad row spoils no other, and the
/// parser looks at every byte of it.
class RowParser {
 public:
  /// The row `text` of that file, behind which RowSource::padding more bytes can be read; good
  /// until the next one. Throws DataError where it is no JSON object.
  [[nodiscard]] text::Field operator()(const std::string& file, std::int64_t line,
                                       std::string_view text);

 private:
  simdjson::dom::parser parser_;
};

/// The rows of a source, each an object.
class JsonRows {
 public:
  explicit JsonRows(std::unique_ptr<RowSource> source);

  /// Goes on to the next row that is not blank; false at the end of the file.
  bool next();
  /// The current row; good until next(). Throws DataError where it is no JSON object.
  [[nodiscard]] text::Field row();
  /// Its text, without what is blank around it.
  [[nodiscard]] std::string_view text() const;

  [[nodiscard]] RowSource& source() const noexcept { return *source_; }

 private:
  std::unique_ptr<RowSource> source_;
  std::string_view text_;
  RowParser parser_;
};

}  // namespace sp2dpo::io
