// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo::tool {

/// Counts the prompt versions behind the annotations of each annotator: `meta.prompt_version`, or 1
/// if it is missing. Answers to different texts are not comparable.
class PromptVersions {
 public:
  void add(const Annotation& annotation);

  /// Returns one line for each annotator whose annotations mix versions.
  [[nodiscard]] std::string warnings() const;

 private:
  std::map<std::string, std::map<std::int64_t, std::int64_t>, std::less<>> counts_;
};

}  // namespace sp2dpo::tool
