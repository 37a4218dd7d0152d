// SPDX-License-Identifier: Apache-2.0
#include "text/printable.hpp"

#include <algorithm>
#include <cstddef>

#include <simdjson.h>

namespace sp2dpo::text {
namespace {

/// Returns the size of an invisible character at the beginning of valid UTF-8 that must not reach a
/// terminal, or 0.
std::size_t steering_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x20 || byte(0) == 0x7F) return 1;
  if (byte(0) == 0xC2 && byte(1) < 0xA0) return 2;  // C1
  if (text.starts_with("\u061C")) return 2;         // Arabic letter mark
  if (text.starts_with("\uFEFF")) return 3;         // byte order mark
  if (byte(0) != 0xE2 || text.size() < 3) return 0;
  const bool marks = byte(1) == 0x80 && (byte(2) == 0x8E || byte(2) == 0x8F);
  const bool lines = byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9);
  const bool embeddings = byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE;
  const bool isolates = byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9;
  return marks || lines || embeddings || isolates ? 3 : 0;
}

std::string without_steering(std::string_view text, std::string_view kept) {
  std::string made(text);
  if (!simdjson::validate_utf8(made)) {
    for (char& c : made)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  std::string clean;
  clean.reserve(made.size());
  for (std::size_t at = 0; at < made.size();) {
    const std::string_view rest = std::string_view(made).substr(at);
    const std::size_t size =
        kept.find(rest.front()) == std::string_view::npos ? steering_size(rest) : 0;
    clean += size == 0 ? rest.front() : ' ';
    at += std::max<std::size_t>(size, 1);
  }
  return clean;
}

}  // namespace

std::string printable(std::string_view text) {
  return without_steering(text, "\n\t");
}

std::string one_line(std::string_view text) {
  constexpr std::size_t longest = 300;
  if (text.size() <= longest) return without_steering(text, "");
  std::size_t cut = longest;
  // The cut must not split a character.
  while (cut > longest - 4 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;
  return without_steering(text.substr(0, cut), "") + "…";
}

}  // namespace sp2dpo::text
