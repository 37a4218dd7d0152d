// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <args.hpp>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/schedule/category.hpp>
#include <sp2dpo/schedule/linear.hpp>

namespace sp2dpo::tool {

/// How many annotations a ScheduleBuilder holds here, 18 MB; the rest goes to a temporary file.
inline constexpr std::size_t most_in_memory = std::size_t{9} << 16;

/// Options that every command with a file of pairs has.
struct PairOptions {
  std::string file;
  std::string duplicates = "error";
  io::PairReaderOptions reader;

  enum class Need { required, optional };

  void declare(args::Command app, Need need = Need::required);
  [[nodiscard]] io::PairReaderOptions reader_options() const;
};

/// `--categories a,b,c`, or the default list.
struct CategoryOptions {
  std::vector<std::string> names;

  void declare(args::Command app);
  [[nodiscard]] Categories categories() const;
};

/// Throw UsageError naming the option.
[[nodiscard]] double parse_number(std::string_view option, std::string_view text);
[[nodiscard]] Interval parse_interval(std::string_view option, std::string_view text);

/// Length of the chosen answer minus that of the rejected one, in bytes.
[[nodiscard]] double length_difference(const PreferencePair& pair);

/// Says on stderr which rows a lenient reader left out.
void list_skipped(const io::RowReader& reader);

}  // namespace sp2dpo::tool
