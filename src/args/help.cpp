// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>

#include "description.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sp2dpo::args {

namespace {

constexpr std::size_t width = 100;
constexpr std::size_t column = 30;  // where the texts begin

/// Appends the name and its text; lines after the first begin at the text's column.
void add_entry(std::string& out, const std::string& name, std::string_view text) {
  out += "  " + name;
  std::size_t at = 2 + name.size();
  if (at + 2 > column) {
    out += '\n';
    at = 0;
  }
  out.append(column - at, ' ');
  at = column;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (at > column && at + 1 + word.size() > width) {
      out += '\n';
      out.append(column, ' ');
      at = column;
    }
    if (at > column) {
      out += ' ';
      ++at;
    }
    out += word;
    at += word.size();
  }
  out += '\n';
}

std::string value_of(const OptionText& option) {
  if (option.value.find('|') == std::string::npos) return option.value;
  return "{" + option.value + "}";
}

std::string name_of(const OptionText& option) {
  const bool is_short = option.names.front().size() == 2;
  return fmt::format("{}{}{}{}", is_short ? "" : "    ", fmt::join(option.names, ", "),
                     option.value.empty() ? "" : " ", value_of(option));
}

std::string text_of(const OptionText& option) {
  std::string text = option.help;
  if (!option.standard.empty()) text += fmt::format(" [{}]", option.standard);
  if (option.required) text += " (required)";
  return text;
}

void add_heading(std::string& out, std::string& last, const std::string& heading) {
  if (heading == last) return;
  last = heading;
  out += "\n" + heading + ":\n";
}

}  // namespace

std::string usage(const CommandText& command) {
  std::string text = command.path;
  for (const auto& option : command.options)
    if (option.required) text += fmt::format(" {} {}", option.names.back(), value_of(option));
  if (!command.commands.empty()) text += " COMMAND";
  for (const auto& argument : command.arguments) {
    const auto word = argument.value + (argument.repeats ? "..." : "");
    text += argument.required ? " " + word : " [" + word + "]";
  }
  return text + " [OPTION...]";
}

std::string help_text(const CommandText& command) {
  std::string out = command.summary + "\n\nUsage: " + usage(command) + '\n';
  std::string heading;
  for (const auto& part : command.commands) {
    add_heading(out, heading, part.heading);
    add_entry(out, std::string(part.name()), part.summary);
  }
  for (const auto& argument : command.arguments) {
    add_heading(out, heading, "Arguments");
    add_entry(out, argument.value, text_of(argument));
  }
  for (const auto& option : command.options) {
    add_heading(out, heading, option.heading);
    add_entry(out, name_of(option), text_of(option));
  }
  if (!command.footer.empty())
    out += '\n' + command.footer + (command.footer.ends_with('\n') ? "" : "\n");
  if (!command.commands.empty())
    out += fmt::format("\n{} COMMAND --help describes a command.\n", command.path);
  return out;
}

}  // namespace sp2dpo::args
