// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/io/row_reader.hpp>
#include <sp2dpo/schedule/pair.hpp>
#include <sp2dpo/schedule/pair_ids.hpp>

namespace sp2dpo::text {
class Sha256;
}

namespace sp2dpo::io {

/// The id of a pair whose row lacks one: the first 16 hex digits of SHA-256 over the canonical
/// JSON `{"chosen":…,"prompt":…,"rejected":…}`.
[[nodiscard]] std::string content_id(const PreferencePair& pair);

/// Choices of a PairReader.
struct PairReaderOptions {
  /// Handling of a row whose id an earlier row has.
  enum class Duplicates : std::uint8_t { error, first };

  /// The id column. Empty: `id` if the first row has it, else content_id().
  std::string id_field{};
  Duplicates duplicates = Duplicates::error;  ///< first: keeps the first row of an id
  bool lenient = false;                       ///< skips bad rows and lists them
};

/// Reads a file of preference pairs row by row, as text or conversations, with an explicit or
/// implicit prompt (docs/formats.md). Keeps the ids it has read, to detect duplicates. Not
/// thread-safe.
///
///     PairReader reader("pairs.jsonl.gz");
///     for (PreferencePair pair; reader.next(pair);) use(pair);
///     VoteTable votes(reader.take_ids());
class PairReader : public RowReader {
 public:
  /// Throws DataError if the file cannot be opened.
  explicit PairReader(RowsFrom rows, PairReaderOptions options = {});
  ~PairReader();

  /// Reads the next pair into `pair`, whose memory is reused; false at the end. Throws DataError
  /// with file, line and field.
  bool next(PreferencePair& pair);

  /// Number of rows left out because an earlier row has their id.
  [[nodiscard]] std::int64_t duplicates() const noexcept { return duplicates_; }

  /// The ids of the pairs read so far, in file order.
  [[nodiscard]] const PairIds& ids() const noexcept { return ids_; }
  /// Moves the ids out. Call it once, after the last pair.
  [[nodiscard]] PairIds take_ids() { return std::move(ids_); }

 private:
  void parse(PreferencePair& pair);
  [[nodiscard]] std::string first_place_of(const std::string& id) const;

  PairReaderOptions options_;
  std::optional<bool> own_ids_;  // true if the first row has an id column; unset before it
  std::int64_t duplicates_ = 0;
  PairIds ids_;
  std::unique_ptr<text::Sha256> content_;
};

/// Reads the whole file.
[[nodiscard]] std::vector<PreferencePair> read_pairs(RowsFrom rows,
                                                     const PairReaderOptions& options = {});

}  // namespace sp2dpo::io
