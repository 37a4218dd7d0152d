// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/report/page.hpp>

namespace sp2dpo::tool {

/// Name, file and licence of a published data set.
struct Publication {
  std::string name;     ///< name of the data set
  std::string file;     ///< name of the schedule without folders
  std::string license;  ///< SPDX name or another text; may be empty
};

/// The README.md of a data set, with the front matter of the Hugging Face Hub.
[[nodiscard]] std::string dataset_card(const io::ScheduleFile& schedule, const report::Page& page,
                                       const Publication& publication);

/// Croissant 1.0 metadata (JSON-LD) with the properties of its responsible-AI extension.
[[nodiscard]] std::string croissant(const io::ScheduleFile& schedule, const report::Page& page,
                                    const Publication& publication);

}  // namespace sp2dpo::tool
