// SPDX-License-Identifier: Apache-2.0
#include "input/prompt_versions.hpp"

#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

namespace sp2dpo::tool {

namespace {

std::int64_t version_in(const std::string& meta) {
  constexpr std::string_view key = "prompt_version";
  if (meta.find(key) == std::string::npos) return 1;  // most annotations: not worth parsing
  static thread_local simdjson::dom::parser parser;
  std::int64_t version = 1;
  if (parser.parse(meta)[key].get(version) != simdjson::SUCCESS) return 1;
  return version;
}

}  // namespace

void PromptVersions::add(const Annotation& annotation) {
  auto found = counts_.find(annotation.annotator);
  if (found == counts_.end()) found = counts_.try_emplace(annotation.annotator).first;
  ++found->second[version_in(annotation.meta)];
}

std::string PromptVersions::warnings() const {
  std::string text;
  for (const auto& [annotator, versions] : counts_) {
    if (versions.size() < 2) continue;
    std::vector<std::string> parts;
    for (const auto& [version, count] : versions)
      parts.push_back(fmt::format("{} of version {}", count, version));
    text += fmt::format("Warning: the annotations of {} mix prompt versions: {}\n", annotator,
                        fmt::join(parts, ", "));
  }
  return text;
}

}  // namespace sp2dpo::tool
