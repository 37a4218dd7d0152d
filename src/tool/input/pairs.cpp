// SPDX-License-Identifier: Apache-2.0
#include "input/pairs.hpp"

#include "input/skipped_rows.hpp"
#include "output/files.hpp"
#include "output/progress.hpp"

namespace sp2dpo::tool {

void PairOptions::declare(args::Command app, Need need) {
  app.section("Input");
  app.option("-p,--pairs", &file, "Preference pairs, .jsonl, .jsonl.gz or .parquet")
      .file(args::FileUse::read)
      .required(need == Need::required);
  app.option("--id-field", &reader.id_field,
             "Column with the ids [id, or a hash of the pair if the rows have no id]");
  app.option("--duplicates", &duplicates, "Duplicate ids: error, or first to keep the first row")
      .one_of({"error", "first"})
      .show_default();
  app.flag("--lenient", &reader.lenient, "Leave bad rows out and list them");
}

io::PairReaderOptions PairOptions::reader_options() const {
  io::PairReaderOptions options = reader;
  if (duplicates == "first") options.duplicates = io::PairReaderOptions::Duplicates::first;
  return options;
}

io::PairReader open_pairs(const PairOptions& options) {
  return io::PairReader(rows_of(options.file), options.reader_options());
}

PairsSummary read_pairs(const PairOptions& options,
                        const std::function<void(PreferencePair&)>& use) {
  io::PairReader reader = open_pairs(options);
  {
    Progress progress(reader);
    for (PreferencePair pair; reader.next(pair); progress.row())
      if (use) use(pair);
  }
  list_skipped(reader);
  return {.file = {"pairs", options.file, reader.sha256(), reader.rows()},
          .ids = reader.take_ids(),
          .duplicates = reader.duplicates()};
}

double length_difference(const PreferencePair& pair) {
  return static_cast<double>(text_size(pair.chosen)) -
         static_cast<double>(text_size(pair.rejected));
}

}  // namespace sp2dpo::tool
