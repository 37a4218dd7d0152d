// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sp2dpo/annotate/prompt.hpp>

namespace sp2dpo::annotate {

/// Picks the prompts that a panel lists, each as `direct` or, with a version, as `direct@1`; all of
/// them if the list is empty. A name without a version takes the candidate of `version`, or the
/// only one of that name. If a prompt is picked in several versions, each is renamed to
/// `direct@VERSION`. Throws InvalidArgument for an unknown prompt or version and for a duplicate.
[[nodiscard]] std::vector<Prompt> choose_prompts(std::span<const std::string> listed,
                                                 std::span<const Prompt> candidates, int version);

}  // namespace sp2dpo::annotate
