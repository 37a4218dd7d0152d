// SPDX-License-Identifier: Apache-2.0
#include "row.hpp"

#include <optional>
#include <string>

#include <fmt/format.h>
#include <torch/version.h>

namespace sp2dpo::benchmarks {
namespace {

using Maybe = std::optional<double>;

Maybe over(const Maybe& a, const Maybe& b) {
  return a && b ? Maybe(*a / *b) : std::nullopt;
}

std::string cell(const Maybe& value, double unit, int digits) {
  return value ? fmt::format("{:.{}f}", *value * unit, digits) : "-";
}

std::string json_number(const Maybe& value) {
  return value ? fmt::format("{:.6g}", *value) : "null";
}

std::string json_size(std::int64_t value) {
  return value == 0 ? "null" : fmt::format("{}", value);
}

constexpr const char* columns =
    "{:<5} {:<23} {:<8} {:>5} {:>5} {:>6} {:>5} {:>4} {:>10} {:>10} {:>10} {:>10} {:>10} {:>7} "
    "{:>8} {:>7} {:>6}";

}  // namespace

std::string table_head() {
  return fmt::format(fmt::runtime(columns), "level", "op", "dtype", "pairs", "R", "V", "H", "mask",
                     "ours ms", "eager", "logsumexp", "retained", "floor", "x eager", "x retain",
                     "/ floor", "spread");
}

std::string table_line(const Row& row) {
  const auto size = [](std::int64_t value) { return value == 0 ? "-" : fmt::format("{}", value); };
  const int digits = row.shape.level == 1 ? 4 : 2;
  const auto ms = [&](const Maybe& seconds) { return cell(seconds, 1e3, digits); };
  return fmt::format(
      fmt::runtime(columns), row.shape.level, row.op + (row.metrics ? " + metrics" : ""),
      name_of(row.shape.dtype), row.shape.pairs, size(row.shape.rows), size(row.shape.vocab),
      size(row.shape.hidden), fmt::format("{}%", row.shape.mask_percent), ms(row.seconds),
      ms(row.eager), ms(row.eager_logsumexp), ms(row.eager_retained), ms(row.floor),
      cell(over(row.eager, row.seconds), 1, 2), cell(over(row.eager_retained, row.seconds), 1, 2),
      cell(over(row.seconds, row.floor), 1, 2), fmt::format("{:.0f}%", row.spread * 100));
}

std::string json(const Row& row) {
  return fmt::format(
      R"({{"level":{},"op":"{}","dtype":"{}","P":{},"R":{},"V":{},"H":{},"mask":{},"metrics":{},)"
      R"("threads":{},"libtorch":"{}","seconds":{:.6g},"spread":{:.3f},"eager_seconds":{},)"
      R"("eager_logsumexp_seconds":{},"eager_retained_seconds":{},"floor_seconds":{},)"
      R"("ratio_eager":{},"ratio_eager_retained":{},"ratio_floor":{}}})",
      row.shape.level, row.op, name_of(row.shape.dtype), row.shape.pairs, json_size(row.shape.rows),
      json_size(row.shape.vocab), json_size(row.shape.hidden), row.shape.mask_percent, row.metrics,
      row.threads, TORCH_VERSION, row.seconds, row.spread, json_number(row.eager),
      json_number(row.eager_logsumexp), json_number(row.eager_retained), json_number(row.floor),
      json_number(over(row.eager, row.seconds)), json_number(over(row.eager_retained, row.seconds)),
      json_number(over(row.seconds, row.floor)));
}

}  // namespace sp2dpo::benchmarks
