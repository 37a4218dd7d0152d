// SPDX-License-Identifier: Apache-2.0
#include "rows.hpp"

#include <system_error>
#include <utility>
#include <vector>

#include "cells.hpp"
#include "manifest_key.hpp"
#include "text/hashed_file.hpp"
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/parquet/rows.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::int64_t rows_at_a_time = 512;

}  // namespace

ParquetRows::ParquetRows(const std::filesystem::path& path) : name_(path.string()) {
  auto file = arrow::io::ReadableFile::Open(name_);
  if (!file.ok()) throw DataError(name_, 0, "", "cannot be opened: " + file.status().message());
  file_ = *std::move(file);

  auto properties = parquet::default_reader_properties();
  properties.enable_buffered_stream();  // reads parts of a row group's columns
  parquet::ArrowReaderProperties arrow_properties;
  arrow_properties.set_pre_buffer(false);
  arrow_properties.set_batch_size(rows_at_a_time);
  parquet::arrow::FileReaderBuilder builder;
  const auto opened = builder.Open(file_, properties);
  if (!opened.ok())
    throw DataError(name_, 0, "", "is damaged or not a Parquet file: " + opened.message());
  auto reader = builder.properties(arrow_properties)->Build();
  check(reader.status());
  reader_ = *std::move(reader);
  auto batches = reader_->GetRecordBatchReader();
  check(batches.status());
  batches_ = *std::move(batches);
  n_rows_ = reader_->parquet_reader()->metadata()->num_rows();

  if (const auto& metadata = schema().metadata(); metadata != nullptr)
    if (auto manifest = metadata->Get(manifest_key); manifest.ok()) {
      text_ = *std::move(manifest);
      manifest_to_come_ = true;
    }
}

void ParquetRows::check(const arrow::Status& status) const {
  if (!status.ok()) throw DataError(name_, row_, "", "cannot be read: " + status.message());
}

bool ParquetRows::next_batch() {
  do {
    auto batch = batches_->Next();
    check(batch.status());
    batch_ = *std::move(batch);
    if (batch_ == nullptr) return false;
  } while (batch_->num_rows() == 0);
  place_ = -1;
  return true;
}

bool ParquetRows::next(std::string_view& row) {
  if (manifest_to_come_) {
    manifest_to_come_ = false;
  } else {
    if ((batch_ == nullptr || place_ + 1 == batch_->num_rows()) && !next_batch()) {
      hash();
      return false;
    }
    ++place_;
    ++row_;
    text_.clear();
    append_row(text_, *batch_, place_);
  }
  text_.reserve(text_.size() + padding);
  row = text_;
  return true;
}

/// Reads the file again for its hash, as rows do not follow the order of its bytes.
void ParquetRows::hash() {
  if (!sha256_.empty()) return;
  text::HashedFile file(name_);
  while (!file.next().empty()) continue;
  if (file.error() != 0)
    throw DataError(name_, 0, "",
                    "cannot be read: " + std::generic_category().message(file.error()));
  sha256_ = file.sha256();
}

std::int64_t ParquetRows::bytes_read() const noexcept {
  const auto size = file_->GetSize();
  if (!size.ok() || n_rows_ == 0) return 0;
  return static_cast<std::int64_t>(static_cast<double>(*size) * static_cast<double>(row_) /
                                   static_cast<double>(n_rows_));
}

std::unique_ptr<RowSource> ParquetRows::again() const {
  return parquet_rows(name_);
}

std::unique_ptr<RowSource> parquet_rows(const std::filesystem::path& path) {
  return std::make_unique<ParquetRows>(path);
}

}  // namespace sp2dpo::io
