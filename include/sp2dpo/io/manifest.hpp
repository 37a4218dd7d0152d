// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sp2dpo/io/json.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::io {

/// An input file of a schedule.
struct InputFile {
  std::string role;    ///< `pairs`, `annotations`, `gold` or `weights`
  std::string path;    ///< as given
  std::string sha256;  ///< SHA-256 of its bytes in hex
  std::int64_t rows{};

  friend bool operator==(const InputFile&, const InputFile&) = default;
};

/// The name and parameters of an aggregator, a mapper or a policy.
struct PartDescription {
  std::string name{};
  Json::Object parameters{};

  friend bool operator==(const PartDescription&, const PartDescription&) = default;
};

/// `{"name":…,"parameters":{…}}`, with `parameters` left out if empty.
[[nodiscard]] Json to_json(const PartDescription& part);

/// Counts that the manifest records.
struct ScheduleCounts {
  std::int64_t pairs{};
  std::int64_t annotations{};
  std::int64_t missing{};  ///< pairs without a gap: dropped, or given the base beta
  std::int64_t clipped_low{};
  std::int64_t clipped_high{};

  friend bool operator==(const ScheduleCounts&, const ScheduleCounts&) = default;
};

[[nodiscard]] ScheduleCounts count(const ScheduleView& schedule, std::int64_t pairs,
                                   std::int64_t annotations);

/// Provenance of a schedule. Holds no time, host or user, so the same inputs give the same bytes.
struct ScheduleManifest {
  std::vector<InputFile> inputs{};
  PartDescription aggregator{};
  PartDescription mapper{};
  PartDescription missing{};
  ScheduleCounts counts{};
  std::string program{};  ///< name and version; write_schedule() fills in its own if empty

  friend bool operator==(const ScheduleManifest&, const ScheduleManifest&) = default;
};

/// The manifest as canonical JSON, as it is written to files.
[[nodiscard]] std::string manifest_json(const ScheduleManifest& manifest,
                                        const Categories& categories);

}  // namespace sp2dpo::io
