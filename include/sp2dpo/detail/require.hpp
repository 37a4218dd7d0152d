// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::detail {

/// Throws InvalidArgument unless `ok`; the message is formatted only then.
template <class... Args>
void require(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) throw InvalidArgument(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace sp2dpo::detail
