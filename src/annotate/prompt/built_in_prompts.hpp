// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace sp2dpo::annotate {

struct BuiltInPrompt {
  int version;
  std::string_view file;  ///< name without a folder
  std::string_view text;
};

/// Returns the templates of all versions in prompts/, sorted by version and name.
[[nodiscard]] std::vector<BuiltInPrompt> built_in_prompt_texts();

}  // namespace sp2dpo::annotate
