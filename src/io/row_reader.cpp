// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "json_rows.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/row_reader.hpp>

namespace sp2dpo::io {

RowReader::RowReader(RowsFrom rows, bool lenient)
    : lenient_(lenient),
      json_(std::make_unique<JsonRows>(std::move(rows).take())),
      path_(source().name()) {}

RowReader::~RowReader() = default;

RowSource& RowReader::source() const noexcept {
  return json_->source();
}

std::string RowReader::sha256() const {
  const auto& digest = source().sha256();
  detail::require(!digest.empty(), "{}: the SHA-256 is known only after the last row",
                  path_.string());
  return digest;
}

bool RowReader::next_row(const std::function<bool()>& parse) {
  return next_row(
      [this] {
        const bool found = json_->next();
        at(source().line(), source().bytes_read());
        return found;
      },
      parse);
}

void RowReader::require_rows() const {
  if (rows_ > 0) return;
  throw DataError(path_.string(), 0, "",
                  n_skipped_ == 0 ? "no rows"
                                  : fmt::format("no valid row; skipped {}, the first because {}",
                                                n_skipped_, skipped_.front().what()));
}

void RowReader::refuse(const std::string& field, const std::string& reason) {
  skip(DataError(path_.string(), line(), field, reason));
  --rows_;
}

void RowReader::skip(const DataError& error) {
  if (!lenient_) throw error;
  ++n_skipped_;
  if (skipped_.size() < max_listed) skipped_.push_back(error);
}

}  // namespace sp2dpo::io
