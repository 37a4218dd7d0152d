// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/report/page.hpp>

namespace sp2dpo::tool {

/// What a data set is published with.
struct Publication {
  std::string name;     ///< of the data set
  std::string file;     ///< the schedule's name, without folders
  std::string license;  ///< an SPDX name or the like; empty: left out
};

/// README.md of a data set, with the front matter that the Hugging Face Hub reads.
[[nodiscard]] std::string dataset_card(const io::ScheduleFile& schedule, const report::Page& page,
                                       const Publication& publication);

/// The same as Croissant 1.0 (JSON-LD), with the properties of its extension for responsible AI.
[[nodiscard]] std::string croissant(const io::ScheduleFile& schedule, const report::Page& page,
                                    const Publication& publication);

}  // namespace sp2dpo::tool
