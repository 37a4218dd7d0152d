// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <args.hpp>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/manifest.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/vote_table.hpp>

namespace sp2dpo::tool {

/// How many annotations a VoteTable keeps in memory here, 18 MB; it spills the rest to a
/// temporary file.
inline constexpr std::size_t max_in_memory = std::size_t{9} << 16;

/// `--categories a,b,c`, or the default list.
struct CategoryOptions {
  std::vector<std::string> names;

  void declare(args::Command app);
  [[nodiscard]] Categories categories() const;
};

/// `--annotations FILE`, required and repeatable.
void declare_annotations(args::Command app, std::vector<std::string>* files);

/// Reads a file of annotations, calls `use` with each and its reader, shows progress, and lists the
/// rows that a lenient reader left out.
io::InputFile read_annotations(
    const std::string& file, const io::AnnotationReaderOptions& options,
    const std::function<void(const Annotation&, io::AnnotationReader&)>& use);

/// Reads files of annotations into the builder and warns about annotators that mix prompt versions.
/// Returns what the manifest says of each file.
std::vector<io::InputFile> add_annotations(VoteTable& builder, std::span<const std::string> files,
                                           bool lenient);

}  // namespace sp2dpo::tool
