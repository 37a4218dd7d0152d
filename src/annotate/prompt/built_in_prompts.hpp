// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace sp2dpo::annotate {

struct BuiltInPrompt {
  std::string_view file;  ///< name without a folder
  std::string_view text;
};

/// The templates in prompts/, by name.
[[nodiscard]] std::vector<BuiltInPrompt> built_in_prompt_texts();

}  // namespace sp2dpo::annotate
