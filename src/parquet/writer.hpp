// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>

#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/type_fwd.h>
#include <parquet/arrow/writer.h>

#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::io {

/// A Parquet file that appears whole or not at all. What fails throws DataError.
class ParquetWriter {
 public:
  ParquetWriter(const std::filesystem::path& path, const std::shared_ptr<arrow::Schema>& schema,
                std::int64_t rows_in_a_group);

  void write(const arrow::RecordBatch& batch);
  void commit();

 private:
  /// Arrow's way to the file. It takes no exceptions, so that one is kept for check().
  class Stream;

  void check(const arrow::Status& status);

  OutputFile file_;
  std::shared_ptr<Stream> stream_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace sp2dpo::io
