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

/// The id of a pair that has none of its own: the first 16 hex digits of SHA-256 over the canonical
/// JSON `{"chosen":…,"prompt":…,"rejected":…}`.
[[nodiscard]] std::string content_id(const PreferencePair& pair);

struct PairReaderOptions {
  enum class Duplicates : std::uint8_t { error, first };

  /// The column that holds the id. Empty: `id` where the first row has it, else content_id().
  std::string id_field{};
  Duplicates duplicates = Duplicates::error;  ///< first: keeps the first of an id, counts the rest
  bool lenient = false;                       ///< skips bad rows and lists them
};

/// Reads a file of preference pairs row by row, as text or as conversations, with the prompt given
/// or implied (docs/formats.md). Of the rows gone by it keeps the ids, to know a double one.
///
///     PairReader reader("pairs.jsonl.gz");
///     for (PreferencePair pair; reader.next(pair);) use(pair);
///     ScheduleBuilder builder(reader.take_ids());
class PairReader : public RowReader {
 public:
  /// Throws DataError where the file cannot be opened.
  explicit PairReader(RowsFrom rows, PairReaderOptions options = {});
  ~PairReader();

  /// False at the end. Reuses what `pair` holds. Throws DataError with file, line and field.
  bool next(PreferencePair& pair);

  /// Rows passed over because their id was there before.
  [[nodiscard]] std::int64_t duplicates() const noexcept { return duplicates_; }

  /// The ids of the pairs that were read, in their order; to be called when all are.
  [[nodiscard]] PairIds take_ids() { return std::move(ids_); }

 private:
  void parse(PreferencePair& pair);
  [[nodiscard]] std::string first_place_of(const std::string& id) const;

  PairReaderOptions options_;
  std::optional<bool> own_ids_;  // whether the first row has an id column, once there was one
  std::int64_t duplicates_ = 0;
  PairIds ids_;
  std::unique_ptr<text::Sha256> content_;
};

/// The whole file at once.
[[nodiscard]] std::vector<PreferencePair> read_pairs(RowsFrom rows,
                                                     const PairReaderOptions& options = {});

}  // namespace sp2dpo::io
