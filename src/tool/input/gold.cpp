// SPDX-License-Identifier: Apache-2.0
#include "input/gold.hpp"

#include <iterator>
#include <unordered_set>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>
#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo::tool {

Gold read_gold(const std::string& file, const PairIds& pair_ids) {
  std::unordered_set<std::string> seen;
  Gold gold;
  io::CsvReader rows(file);
  const auto id = rows.column("pair_id"), preferred = rows.column("preferred");
  while (rows.next()) {
    if (pair_ids.find(rows.cell(id)) == PairIds::none)
      rows.fail(id, fmt::format("unknown pair {}", rows.cell(id)));
    if (!seen.insert(rows.cell(id)).second)
      rows.fail(id, fmt::format("duplicate pair {}", rows.cell(id)));
    const auto label = find_enum<Preferred>(rows.cell(preferred));
    if (!label) rows.fail(preferred, expected_name<Preferred>(rows.cell(preferred)));
    gold.labels.push_back({rows.cell(id), *label == Preferred::chosen     ? 1.0
                                          : *label == Preferred::rejected ? -1.0
                                                                          : 0.0});
  }
  if (gold.labels.empty()) throw DataError(file, 0, "", "no gold labels");
  gold.file = {"gold", file, rows.sha256(), std::ssize(gold.labels)};
  return gold;
}

}  // namespace sp2dpo::tool
