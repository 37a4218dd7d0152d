// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/json/reader.h>
#include <arrow/table.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>

namespace sp2dpo::test {

inline void require(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

/// Reads JSON Lines into a table of these columns with Arrow's reader.
inline std::shared_ptr<arrow::Table> table(const std::shared_ptr<arrow::Schema>& schema,
                                           std::string_view rows) {
  auto options = arrow::json::ParseOptions::Defaults();
  options.explicit_schema = schema;
  options.unexpected_field_behavior = arrow::json::UnexpectedFieldBehavior::Error;
  auto batch = arrow::json::ParseOne(options, arrow::Buffer::FromString(std::string(rows)));
  require(batch.status());
  auto table = arrow::Table::FromRecordBatches({*batch});
  require(table.status());
  return *table;
}

/// Writes a table with Arrow's writer.
inline std::filesystem::path write_parquet(const std::filesystem::path& path,
                                           const arrow::Table& table, std::int64_t group = 1024) {
  auto file = arrow::io::FileOutputStream::Open(path.string());
  require(file.status());
  require(parquet::arrow::WriteTable(
      table, arrow::default_memory_pool(), *file, group, parquet::default_writer_properties(),
      parquet::ArrowWriterProperties::Builder().store_schema()->build()));
  require((*file)->Close());
  return path;
}

/// Reads a table with Arrow's reader.
inline std::shared_ptr<arrow::Table> read_parquet(const std::filesystem::path& path) {
  auto file = arrow::io::ReadableFile::Open(path.string());
  require(file.status());
  parquet::arrow::FileReaderBuilder builder;
  require(builder.Open(*file));
  auto reader = builder.Build();
  require(reader.status());
  auto table = (*reader)->ReadTable();
  require(table.status());
  return *table;
}

}  // namespace sp2dpo::test
