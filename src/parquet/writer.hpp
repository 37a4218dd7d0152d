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

/// Writes a Parquet file atomically: it appears under its name at commit(). Failures throw
/// DataError.
class ParquetWriter {
 public:
  ParquetWriter(const std::filesystem::path& path, const std::shared_ptr<arrow::Schema>& schema,
                std::int64_t rows_in_a_group);

  void write(const arrow::RecordBatch& batch);
  void commit();

 private:
  /// Adapts the file to Arrow, which forbids exceptions; check() rethrows one that was caught.
  class Stream;

  void check(const arrow::Status& status);

  OutputFile file_;
  std::shared_ptr<Stream> stream_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace sp2dpo::io
