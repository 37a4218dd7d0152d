// SPDX-License-Identifier: Apache-2.0
#include "input/skipped_rows.hpp"

#include <algorithm>
#include <cstdio>

#include "text/counted.hpp"
#include <fmt/format.h>

namespace sp2dpo::tool {

void list_skipped(const io::RowReader& reader) {
  constexpr std::size_t max_shown = 20;
  if (reader.n_skipped() == 0) return;
  fmt::print(stderr, "{}: {} left out:\n", reader.path().string(),
             text::counted(reader.n_skipped(), "row"));
  const auto& skipped = reader.skipped();
  for (std::size_t i = 0; i < std::min(max_shown, skipped.size()); ++i)
    fmt::print(stderr, "  {}\n", skipped[i].what());
  if (skipped.size() > max_shown)
    fmt::print(stderr, "  and {} more\n",
               reader.n_skipped() - static_cast<std::int64_t>(max_shown));
}

}  // namespace sp2dpo::tool
