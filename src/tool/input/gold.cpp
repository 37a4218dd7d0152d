// SPDX-License-Identifier: Apache-2.0
#include "input/gold.hpp"

#include <iterator>
#include <unordered_set>

#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/csv.hpp>

namespace sp2dpo::tool {

Gold read_gold(const std::string& file, const PairIds& pair_ids) {
  std::unordered_set<std::string> seen;
  Gold gold;
  io::CsvReader rows(file);
  const auto id = rows.column("pair_id"), preferred = rows.column("preferred");
  while (rows.next()) {
    if (pair_ids.find(rows.cell(id)) == PairIds::none)
      rows.fail(id, fmt::format("there is no pair {}", rows.cell(id)));
    if (!seen.insert(rows.cell(id)).second)
      rows.fail(id, fmt::format("a second verdict on the pair {}", rows.cell(id)));
    const std::string& verdict = rows.cell(preferred);
    if (verdict != "chosen" && verdict != "rejected" && verdict != "tie")
      rows.fail(preferred, fmt::format("expected chosen, rejected or tie, not \"{}\"", verdict));
    gold.labels.push_back(
        {rows.cell(id), verdict == "chosen" ? 1.0 : (verdict == "rejected" ? -1.0 : 0.0)});
  }
  if (gold.labels.empty()) throw DataError(file, 0, "", "has no gold verdicts");
  gold.file = {"gold", file, rows.sha256(), std::ssize(gold.labels)};
  return gold;
}

}  // namespace sp2dpo::tool
