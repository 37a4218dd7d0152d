// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <string_view>
#include <utility>

#include <arrow/result.h>
#include <parquet/properties.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::io {

class ParquetWriter::Stream final : public arrow::io::OutputStream {
 public:
  explicit Stream(OutputFile& file) : file_(file) {}

  arrow::Status Write(const void* data, std::int64_t size) override {
    try {
      file_.write({static_cast<const char*>(data), static_cast<std::size_t>(size)});
    } catch (const Error& error) {
      failure = std::current_exception();
      return arrow::Status::IOError(error.what());
    }
    written_ += size;
    return arrow::Status::OK();
  }
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  [[nodiscard]] arrow::Result<std::int64_t> Tell() const override { return written_; }
  [[nodiscard]] bool closed() const override { return closed_; }

  std::exception_ptr failure;

 private:
  OutputFile& file_;
  std::int64_t written_ = 0;
  bool closed_ = false;
};

ParquetWriter::ParquetWriter(const std::filesystem::path& path,
                             const std::shared_ptr<arrow::Schema>& schema,
                             std::int64_t rows_in_a_group)
    : file_(path), stream_(std::make_shared<Stream>(file_)) {
  auto properties = parquet::WriterProperties::Builder()
                        .compression(parquet::Compression::SNAPPY)
                        ->max_row_group_length(rows_in_a_group)
                        ->build();
  auto writer = parquet::arrow::FileWriter::Open(
      *schema, arrow::default_memory_pool(), stream_, std::move(properties),
      parquet::ArrowWriterProperties::Builder().store_schema()->build());
  check(writer.status());
  writer_ = *std::move(writer);
}

void ParquetWriter::check(const arrow::Status& status) {
  if (stream_->failure) std::rethrow_exception(stream_->failure);
  if (!status.ok())
    throw DataError(file_.path().string(), 0, "", "cannot be written: " + status.message());
}

void ParquetWriter::write(const arrow::RecordBatch& batch) {
  check(writer_->WriteRecordBatch(batch));
}

void ParquetWriter::commit() {
  check(writer_->Close());
  file_.commit();
}

}  // namespace sp2dpo::io
