// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <args.hpp>

#include <sp2dpo/io/manifest.hpp>
#include <sp2dpo/io/pairs.hpp>

namespace sp2dpo::tool {

/// Options of every command that reads a file of pairs.
struct PairOptions {
  std::string file;
  std::string duplicates = "error";
  io::PairReaderOptions reader;

  enum class Need { required, optional };

  void declare(args::Command app, Need need = Need::required);
  [[nodiscard]] io::PairReaderOptions reader_options() const;
};

/// A reader of the pairs file, JSON Lines or Parquet.
[[nodiscard]] io::PairReader open_pairs(const PairOptions& options);

/// A pairs file that was read.
struct PairsSummary {
  io::InputFile file;
  PairIds ids;
  std::int64_t duplicates{};  ///< rows left out because an earlier one has their id
};

/// Reads all pairs, calls `use` with each, shows progress, and lists the rows that `--lenient` left
/// out.
PairsSummary read_pairs(const PairOptions& options,
                        const std::function<void(PreferencePair&)>& use = {});

/// Length of the chosen response minus that of the rejected one, in bytes.
[[nodiscard]] double length_difference(const PreferencePair& pair);

}  // namespace sp2dpo::tool
