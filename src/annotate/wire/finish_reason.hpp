// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <simdjson.h>

namespace sp2dpo::annotate {

/// The meaning of a choice's `finish_reason`.
enum class Finish {
  complete,   ///< the judge ended its reply
  unstated,   ///< missing, null or empty; counts as complete
  filtered,   ///< a content filter withheld the reply
  truncated,  ///< a token limit cut it off
  called,     ///< the judge called a tool instead
  failed,     ///< the server failed while it replied; a retry may help
  unknown     ///< in no table
};

/// What a choice says about its end.
struct FinishReason {
  Finish finish = Finish::unstated;
  std::string word{};  ///< as received, one line; empty if unstated
};

/// Reads `finish_reason`. `own` lists what else this server says for a complete reply. Letter case
/// does not matter.
[[nodiscard]] FinishReason finish_reason(simdjson::dom::element choice,
                                         std::span<const std::string> own = {});

}  // namespace sp2dpo::annotate
