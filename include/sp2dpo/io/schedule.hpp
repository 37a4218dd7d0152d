// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/io/row_source.hpp>
#include <sp2dpo/schedule/aggregators.hpp>
#include <sp2dpo/schedule/mappers.hpp>
#include <sp2dpo/schedule/schedule.hpp>
#include <sp2dpo/schedule/schedule_builder.hpp>
#include <sp2dpo/schedule/schedule_view.hpp>

namespace sp2dpo::io {

/// A file that a schedule was made from.
struct InputFile {
  std::string role;    ///< `pairs`, `annotations`, `gold` or `weights`
  std::string path;    ///< as given
  std::string sha256;  ///< of its bytes, hex
  std::int64_t rows{};

  friend bool operator==(const InputFile&, const InputFile&) = default;
};

/// An aggregator, a mapper or a policy by name, with its parameters as JSON text.
struct PartDescription {
  std::string name{};
  std::map<std::string, std::string, std::less<>> parameters{};

  friend bool operator==(const PartDescription&, const PartDescription&) = default;
};

/// Values of parameters as JSON text, for descriptions by hand: of parts of your own, and of those
/// that are made around another part.
[[nodiscard]] std::string json_value(double number);
[[nodiscard]] std::string json_value(std::string_view text);
[[nodiscard]] std::string json_value(const PartDescription& part);

/// Names and parameters of the library's own parts (docs/aggregators.md).
[[nodiscard]] PartDescription describe(const Jmamp& aggregator);
[[nodiscard]] PartDescription describe(const MeanMean& aggregator);
[[nodiscard]] PartDescription describe(const MedianMedian& aggregator);
[[nodiscard]] PartDescription describe(const MeanMedian& aggregator);
[[nodiscard]] PartDescription describe(const PooledMedian& aggregator);
[[nodiscard]] PartDescription describe(const PooledTrimmedMean& aggregator);
[[nodiscard]] PartDescription describe(const Linear& mapper);
[[nodiscard]] PartDescription describe(const Constant& mapper);
[[nodiscard]] PartDescription describe(const Logistic& mapper);
[[nodiscard]] PartDescription describe(const Rank& mapper);
[[nodiscard]] PartDescription describe(const ByCategory& mapper, const Categories& categories);
[[nodiscard]] PartDescription describe(const Missing& missing);

struct ScheduleCounts {
  std::int64_t pairs{};
  std::int64_t annotations{};
  std::int64_t missing{};  ///< pairs without a gap: left out, or given the stated beta
  std::int64_t clipped_low{};
  std::int64_t clipped_high{};

  friend bool operator==(const ScheduleCounts&, const ScheduleCounts&) = default;
};

[[nodiscard]] ScheduleCounts count(const ScheduleView& schedule, std::int64_t pairs,
                                   std::int64_t annotations);

/// Where a schedule comes from. No time, host or user, so that the same inputs make the same bytes.
struct ScheduleManifest {
  std::vector<InputFile> inputs{};
  PartDescription aggregator{};
  PartDescription mapper{};
  PartDescription missing{};
  ScheduleCounts counts{};
  std::string program{};  ///< name and version; write_schedule() writes its own where this is empty

  friend bool operator==(const ScheduleManifest&, const ScheduleManifest&) = default;
};

/// The manifest as canonical JSON, as it stands in the file.
[[nodiscard]] std::string manifest_json(const ScheduleManifest& manifest,
                                        const Categories& categories);

/// What stands among an entry's flags: `missing`, `clipped_low`, `clipped_high`, or nothing.
[[nodiscard]] std::string_view flag_of(const ScheduleEntry& entry);

/// Writes the schedule as canonical JSON Lines, one line per pair in the schedule's order, after a
/// first line with the manifest; `manifest_file` takes the manifest instead where it is not empty.
/// Throws DataError where a file cannot be written, InvalidArgument for a name that ends in `.gz`
/// or `.parquet`.
void write_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                    const ScheduleManifest& manifest,
                    const std::filesystem::path& manifest_file = {});

struct ScheduleFile {
  Schedule schedule;
  std::optional<ScheduleManifest> manifest;  ///< empty where it lies in a file of its own
  std::string sha256{};                      ///< of the file's bytes, hex
};

/// Throws DataError with file, line and field. `categories` serve where the file has no manifest.
[[nodiscard]] ScheduleFile read_schedule(RowsFrom rows, Categories categories = {});

}  // namespace sp2dpo::io
