// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "description.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sp2dpo::args {

namespace {

/// Escapes text for troff, line by line: a leading dot or quote would begin a request.
std::string roff(std::string_view text) {
  std::string result;
  bool starts = true;
  for (const char c : text) {
    if (starts && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c;
    starts = c == '\n';
  }
  return result;
}

std::string page_name(std::string path) {
  std::ranges::replace(path, ' ', '-');
  return path;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

void add_entry(std::string& page, const std::string& name, const OptionText& option) {
  page += ".TP\n" + name + "\n" + roff(option.help);
  if (!option.standard.empty()) page += roff(" [" + option.standard + "]");
  if (option.required) page += " (required)";
  page += '\n';
}

void add_section(std::string& page, std::string& last, const std::string& heading) {
  if (heading == last) return;
  last = heading;
  page += ".SH " + upper(heading) + "\n";
}

}  // namespace

void add_man_pages(std::map<std::string, std::string>& pages, const CommandText& command,
                   std::string_view version) {
  const auto name = page_name(command.path);
  std::string page = fmt::format(".TH {} 1 \"\" \"{}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n",
                                 upper(roff(name)), roff(version), roff(name),
                                 roff(command.summary), roff(usage(command)));
  std::string heading;
  for (const auto& part : command.commands) {
    add_section(page, heading, part.heading);
    page += fmt::format(".TP\n.BR {} (1)\n{}\n", roff(page_name(part.path)), roff(part.summary));
  }
  for (const auto& argument : command.arguments) {
    add_section(page, heading, "Arguments");
    add_entry(page, "\\fI" + roff(argument.value) + "\\fR", argument);
  }
  for (const auto& option : command.options) {
    add_section(page, heading, option.heading);
    std::string names =
        fmt::format("\\fB{}\\fR", roff(fmt::format("{}", fmt::join(option.names, ", "))));
    if (!option.value.empty()) names += " \\fI" + roff(option.value) + "\\fR";
    add_entry(page, names, option);
  }
  if (!command.footer.empty()) page += ".SH NOTES\n.nf\n" + roff(command.footer) + "\n.fi\n";
  pages[name + ".1"] = std::move(page);
  for (const auto& part : command.commands) add_man_pages(pages, part, version);
}

}  // namespace sp2dpo::args
