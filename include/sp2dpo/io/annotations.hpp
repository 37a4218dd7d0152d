// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/io/row_reader.hpp>
#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/vote_table.hpp>

namespace sp2dpo::io {

/// Choices of an AnnotationReader.
struct AnnotationReaderOptions {
  Categories categories{};
  bool lenient = false;  ///< skips bad rows and lists them
};

/// Reads a file of annotations row by row (docs/formats.md) and ignores unknown keys. Not
/// thread-safe; worker threads parse large files ahead.
class AnnotationReader : public RowReader {
 public:
  /// Throws DataError if the file cannot be opened.
  explicit AnnotationReader(RowsFrom rows, AnnotationReaderOptions options = {});
  ~AnnotationReader();

  /// The next annotation, valid until the next call; null at the end. Throws DataError with file,
  /// line and field.
  const Annotation* next();
  /// Swaps the next annotation into `annotation`, whose memory is reused; false at the end.
  bool next(Annotation& annotation);

 private:
  struct Ahead;

  Annotation* next_place();

  std::unique_ptr<Ahead> ahead_;
};

/// Reads the whole file.
[[nodiscard]] std::vector<Annotation> read_annotations(RowsFrom rows,
                                                       const AnnotationReaderOptions& options = {});

/// Adds the annotation that `reader` returned last. An annotation that the table refuses (unknown
/// pair, duplicate) throws DataError with the reader's file and line; a lenient reader skips it,
/// and this returns false.
bool add_to(VoteTable& votes, const Annotation& annotation, AnnotationReader& reader);

/// Writes annotations as canonical JSON Lines: the same annotations give the same bytes. Not
/// thread-safe.
class AnnotationWriter {
 public:
  /// Throws DataError if the file cannot be created, InvalidArgument for a name that ends in `.gz`.
  explicit AnnotationWriter(std::filesystem::path path, Categories categories = {});

  /// Throws InvalidArgument for a magnitude or confidence outside [0, 1], an empty name, a category
  /// outside the list, `meta` that is not JSON, and text that is not UTF-8.
  void write(const Annotation& annotation);
  /// Renames the file into place; without this call it is removed.
  void finish() { file_.commit(); }

  /// Number of annotations written.
  [[nodiscard]] std::int64_t rows() const noexcept { return rows_; }

 private:
  OutputFile file_;
  Categories categories_;
  std::string line_;
  std::int64_t rows_ = 0;
};

}  // namespace sp2dpo::io
