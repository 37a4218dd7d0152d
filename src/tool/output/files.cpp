// SPDX-License-Identifier: Apache-2.0
#include "output/files.hpp"

#include "command.hpp"
#include "named_files.hpp"
#include <fmt/format.h>
#ifdef SP2DPO_WITH_PARQUET
#include <sp2dpo/parquet/join.hpp>
#include <sp2dpo/parquet/rows.hpp>
#include <sp2dpo/parquet/schedule.hpp>
#endif

namespace sp2dpo::tool {

bool is_parquet(const std::filesystem::path& path) {
  if (path.extension() != ".parquet") return false;
#ifndef SP2DPO_WITH_PARQUET
  throw UsageError(
      fmt::format("{}: this program was built without Parquet; build it with Arrow and "
                  "-DSP2DPO_WITH_PARQUET=ON (docs/formats.md, Parquet)",
                  path.string()));
#else
  return true;
#endif
}

std::string recorded_name(const std::filesystem::path& path, bool full) {
  return full ? path.string() : path.filename().string();
}

io::RowsFrom rows_of(const std::filesystem::path& path) {
  if (is_parquet(path)) {
#ifdef SP2DPO_WITH_PARQUET
    return io::parquet_rows(path);
#endif
  }
  return path;
}

void save_schedule(const std::filesystem::path& path, const ScheduleView& schedule,
                   const io::ScheduleManifest& manifest,
                   const std::filesystem::path& manifest_file) {
  auto* write = io::write_schedule;
#ifdef SP2DPO_WITH_PARQUET
  if (is_parquet(path)) write = io::write_parquet_schedule;
#endif
  (void)checked_output(path.string());
  if (!manifest_file.empty()) (void)checked_output(manifest_file.string());
  write(path, schedule, manifest, manifest_file);
}

io::JoinCounts save_join(const std::filesystem::path& pairs, const ScheduleView& schedule,
                         const std::filesystem::path& out, const io::JoinOptions& options) {
  (void)checked_output(out.string());
#ifdef SP2DPO_WITH_PARQUET
  if (is_parquet(out)) {
    return io::join_parquet_schedule(pairs, schedule, out, options);
  }
#endif
  return io::join_schedule(rows_of(pairs), schedule, out, options);
}

}  // namespace sp2dpo::tool
