// SPDX-License-Identifier: Apache-2.0
#include "line_source.hpp"

namespace sp2dpo::io {

static_assert(RowSource::padding <= text::padding);

std::unique_ptr<RowSource> LineSource::again() const {
  if (waits()) return nullptr;
  return json_lines(name());
}

std::unique_ptr<RowSource> json_lines(const std::filesystem::path& path) {
  return std::make_unique<LineSource>(path);
}

}  // namespace sp2dpo::io
