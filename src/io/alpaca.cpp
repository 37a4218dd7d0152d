// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string_view>
#include <utility>

#include "json_rows.hpp"
#include "text/sha256.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/alpaca.hpp>

namespace sp2dpo::io {

namespace {

std::int64_t code_points(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
}

AlpacaVerdict verdict_of(const text::Field& row) {
  AlpacaVerdict verdict;
  bool has_output[2] = {}, has_preference = false;
  row.each([&](const text::Field& field) {
    const auto key = field.key();
    if (key == "instruction") {
      verdict.instruction = field.name();
    } else if (key == "output_1") {
      verdict.len_baseline = code_points(field.text());
      has_output[0] = true;
    } else if (key == "output_2") {
      verdict.len_model = code_points(field.text());
      has_output[1] = true;
    } else if (key == "generator_1") {
      verdict.baseline = field.name();
    } else if (key == "generator_2") {
      verdict.model = field.name();
    } else if (key == "annotator") {
      if (!field.is_null()) verdict.judge = field.text();
    } else if (key == "preference") {
      has_preference = true;
      if (field.is_null()) return;
      verdict.preference = field.number(0, 2);
      if (*verdict.preference != 0 && *verdict.preference < 1)
        field.fail(fmt::format("expected a number in [1, 2], or 0 for a draw, not {}",
                               *verdict.preference));
    } else {
      field.check();
    }
  });
  for (const auto& [key, found] : {std::pair{"instruction", !verdict.instruction.empty()},
                                   {"output_1", has_output[0]},
                                   {"generator_1", !verdict.baseline.empty()},
                                   {"output_2", has_output[1]},
                                   {"generator_2", !verdict.model.empty()},
                                   {"preference", has_preference}})
    if (!found) row.fail(key, "is missing");
  verdict.instruction_id = text::sha256_hex(verdict.instruction).substr(0, 16);
  return verdict;
}

}  // namespace

std::vector<AlpacaVerdict> read_alpaca(const std::filesystem::path& path) {
  const std::string name = path.string();
  simdjson::padded_string text;
  if (simdjson::padded_string::load(name).get(text) != simdjson::SUCCESS)
    throw DataError(name, 0, "", "cannot be read");
  simdjson::dom::parser parser;
  simdjson::dom::element list;
  if (const auto error = parser.parse(text).get(list); error != simdjson::SUCCESS)
    throw DataError(name, 0, "", fmt::format("is not JSON: {}", simdjson::error_message(error)));
  std::vector<AlpacaVerdict> verdicts;
  text::Field(name, 0, list).each_item([&](const text::Field& row) {
    verdicts.push_back(verdict_of(row));
  });
  if (verdicts.empty()) throw DataError(name, 0, "", "empty list");
  return verdicts;
}

}  // namespace sp2dpo::io
