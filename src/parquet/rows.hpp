// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>

#include <sp2dpo/io/row_source.hpp>

namespace sp2dpo::io {

/// Rows of a Parquet file as JSON; parquet_rows() makes one.
class ParquetRows final : public RowSource {
 public:
  explicit ParquetRows(const std::filesystem::path& path);

  bool next(std::string_view& row) override;
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t line() const noexcept override { return row_; }
  [[nodiscard]] std::int64_t bytes_read() const noexcept override;
  [[nodiscard]] const std::string& sha256() const noexcept override { return sha256_; }
  [[nodiscard]] bool waits() const noexcept override { return false; }
  [[nodiscard]] std::unique_ptr<RowSource> again() const override;

  [[nodiscard]] const arrow::Schema& schema() const noexcept { return *batches_->schema(); }
  /// The batch that holds the current row, and the row's index in it.
  [[nodiscard]] const std::shared_ptr<arrow::RecordBatch>& batch() const noexcept { return batch_; }
  [[nodiscard]] std::int64_t place() const noexcept { return place_; }

 private:
  void check(const arrow::Status& status) const;
  bool next_batch();
  void hash();

  std::string name_;
  std::shared_ptr<arrow::io::ReadableFile> file_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::int64_t place_ = 0;
  std::int64_t row_ = 0;
  std::int64_t n_rows_ = 0;
  std::string text_;  // the current row; first the manifest, if the file has one
  bool manifest_to_come_ = false;
  std::string sha256_;
};

}  // namespace sp2dpo::io
