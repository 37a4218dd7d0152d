// SPDX-License-Identifier: Apache-2.0
#include "input/annotations.hpp"

#include <cstdio>

#include "command.hpp"
#include "input/prompt_versions.hpp"
#include "input/skipped_rows.hpp"
#include "output/files.hpp"
#include "output/progress.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sp2dpo::tool {

void CategoryOptions::declare(args::Command app) {
  app.section("Judgments");
  app.option("--categories", &names,
             fmt::format("Names of the categories, highest priority first [{}]",
                         fmt::join(Categories().names(), ",")))
      .separated_by(',');
}

Categories CategoryOptions::categories() const {
  if (names.empty()) return {};
  try {
    return Categories(names);
  } catch (const InvalidArgument& error) {
    throw UsageError(fmt::format("--categories: {}", error.what()));
  }
}

void declare_annotations(args::Command app, std::vector<std::string>* files) {
  app.section("Input");
  app.option("-a,--annotations", files,
             "Annotations, .jsonl, .jsonl.gz or .parquet; may be repeated")
      .file(args::FileUse::read)
      .required();
}

io::InputFile read_annotations(
    const std::string& file, const io::AnnotationReaderOptions& options,
    const std::function<void(const Annotation&, io::AnnotationReader&)>& use) {
  io::AnnotationReader reader(rows_of(file), options);
  {
    Progress progress(reader);
    for (; const Annotation* const annotation = reader.next(); progress.row())
      use(*annotation, reader);
  }
  list_skipped(reader);
  return {"annotations", file, reader.sha256(), reader.rows()};
}

std::vector<io::InputFile> add_annotations(VoteTable& builder, std::span<const std::string> files,
                                           bool lenient) {
  std::vector<io::InputFile> inputs;
  PromptVersions versions;
  for (const auto& file : files)
    inputs.push_back(read_annotations(file, {builder.categories(), lenient},
                                      [&](const Annotation& annotation, auto& reader) {
                                        versions.add(annotation);
                                        (void)io::add_to(builder, annotation, reader);
                                      }));
  fmt::print(stderr, "{}", versions.warnings());
  return inputs;
}

}  // namespace sp2dpo::tool
