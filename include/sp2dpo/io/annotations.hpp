// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/io/row_reader.hpp>
#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>

namespace sp2dpo::io {

struct AnnotationReaderOptions {
  Categories categories{};
  bool lenient = false;  ///< skips bad rows and lists them
};

/// Reads a file of annotations row by row (docs/formats.md). Keys it does not know are ignored.
class AnnotationReader : public RowReader {
 public:
  /// Throws DataError where the file cannot be opened.
  explicit AnnotationReader(RowsFrom rows, AnnotationReaderOptions options = {});
  ~AnnotationReader();

  /// The next one, good until the call after it; null at the end. Throws DataError with file, line
  /// and field. Of a large file, the rows to come are read by other threads meanwhile.
  const Annotation* next();
  /// The same, where it is to be kept: false at the end. Reuses what `annotation` holds.
  bool next(Annotation& annotation);

 private:
  struct Ahead;

  Annotation* next_place();

  std::unique_ptr<Ahead> ahead_;
};

/// The whole file at once.
[[nodiscard]] std::vector<Annotation> read_annotations(RowsFrom rows,
                                                       const AnnotationReaderOptions& options = {});

/// builder.add(annotation) for the annotation that `reader` gave last. What the builder refuses (an
/// unknown pair, a second annotation of the same kind) is refused with the reader's file and line;
/// false where a lenient reader skips it.
bool add_to(ScheduleBuilder& builder, const Annotation& annotation, AnnotationReader& reader);

/// Writes annotations as canonical JSON Lines: the same annotations make the same bytes.
class AnnotationWriter {
 public:
  /// Throws DataError where the file cannot be made, InvalidArgument for a name that ends in `.gz`.
  explicit AnnotationWriter(std::filesystem::path path, Categories categories = {});

  /// Throws InvalidArgument for what the format does not allow: a magnitude or confidence outside
  /// [0, 1], an empty name, a category outside the list, `meta` that is no JSON, text that is not
  /// UTF-8.
  void write(const Annotation& annotation);
  /// Moves the file to its name; without it nothing is left.
  void finish() { file_.commit(); }

  [[nodiscard]] std::int64_t rows() const noexcept { return rows_; }

 private:
  OutputFile file_;
  Categories categories_;
  std::string line_;
  std::int64_t rows_ = 0;
};

}  // namespace sp2dpo::io
