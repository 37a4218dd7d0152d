// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace sp2dpo::report {

/// Returns the first fault of `xml`, or an empty string: tags must nest, attributes be quoted and
/// unique, and entities known. CDATA, comments and doctypes are unsupported.
inline std::string fault_in(const std::string& xml) {
  static const std::regex text(R"(([^<&]|&(amp|lt|gt|quot);)*)");
  static const std::regex tag(
      R"re(<(/?)([A-Za-z][A-Za-z0-9]*))re"
      R"re(((\s+[A-Za-z][A-Za-z0-9:-]*="([^<"&]|&(amp|lt|gt|quot);)*")*)\s*(/?)>)re");
  static const std::regex attribute(R"re(([A-Za-z][A-Za-z0-9:-]*)=")re");
  std::vector<std::string> open;
  for (std::size_t at = 0; at < xml.size();) {
    const std::size_t next = std::min(xml.find('<', at), xml.size());
    // In pieces: std::regex recurses once per character.
    for (std::size_t i = at; i < next; i += 100)
      if (next - i < 100 && !std::regex_match(xml.substr(i, next - i), text))
        return "text: " + xml.substr(i, next - i);
    if (next == xml.size()) break;
    const std::size_t end = xml.find('>', next);
    const std::string found = xml.substr(next, end - next + 1);
    std::smatch part;
    if (!std::regex_match(found, part, tag)) return "tag: " + found;
    std::map<std::string, int> seen;
    const std::string attributes = part[3];
    for (std::sregex_iterator i(attributes.begin(), attributes.end(), attribute), last; i != last;
         ++i)
      if (++seen[(*i)[1]] > 1) return "attribute twice: " + found;
    if (part[1] == "/") {
      if (open.empty() || open.back() != part[2]) return "closes what is not open: " + found;
      open.pop_back();
    } else if (part[7] != "/") {
      open.push_back(part[2]);
    }
    at = end + 1;
    if (open.empty() && at < xml.size() && xml.substr(at) != "\n") return "after the root element";
  }
  return open.empty() ? "" : "left open: " + open.back();
}

}  // namespace sp2dpo::report
