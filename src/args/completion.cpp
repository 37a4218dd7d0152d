// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "description.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sp2dpo::args {

namespace {

enum class Values { words, files, folders, others };

Values values_of(const OptionText& option) {
  if (option.value.find('|') != std::string::npos) return Values::words;
  for (const std::string_view name : {"FILE", "OUTFILE", "STORE", "PREFIX"})
    if (option.value == name) return Values::files;
  for (const std::string_view name : {"FOLDER", "OUTFOLDER"})
    if (option.value == name) return Values::folders;
  return Values::others;
}

std::string words_of(const OptionText& option) {
  std::string words = option.value;
  std::ranges::replace(words, '|', ' ');
  return words;
}

/// Calls use(command) with the command and everything below it.
template <class Use>
void for_each_command(const CommandText& command, const Use& use) {
  use(command);
  for (const auto& part : command.commands) for_each_command(part, use);
}

/// Returns the pattern "path --a"|"path -a" of the options whose values are of this kind.
std::string pattern(const CommandText& program, Values kind) {
  std::vector<std::string> cases;
  for_each_command(program, [&](const CommandText& command) {
    for (const auto& option : command.options)
      if (!option.value.empty() && values_of(option) == kind)
        for (const auto& name : option.names)
          cases.push_back(fmt::format("'{} {}'", command.path, name));
  });
  return cases.empty() ? "''" : fmt::format("{}", fmt::join(cases, "|"));
}

/// In single quotes for a shell.
std::string quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'')
      result += R"('\'')";
    else
      result += c;
  }
  return result + "'";
}

/// Escapes what _arguments and _describe give a meaning.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_action(const OptionText& option) {
  switch (values_of(option)) {
    case Values::words:
      return "(" + words_of(option) + ")";
    case Values::files:
      return "_files";
    case Values::folders:
      return "_files -/";
    default:
      return " ";
  }
}

void add_zsh_options(std::string& out, const CommandText& command) {
  for (const auto& option : command.options) {
    const auto names = fmt::format("{}", fmt::join(option.names, " "));
    for (const auto& name : option.names) {
      std::string spec = option.repeats ? "*" : "(" + names + ")";
      spec += name + "[" + escaped(option.help) + "]";
      if (!option.value.empty()) spec += ":" + escaped(option.value) + ":" + zsh_action(option);
      out += " \\\n    " + quoted(spec);
    }
  }
}

void add_zsh_function(std::string& out, const CommandText& command) {
  std::string name = "_" + command.path;
  std::ranges::replace(name, ' ', '_');
  std::ranges::replace(name, '-', '_');
  out += name + "() {\n";
  if (command.commands.empty()) {
    out += "  _arguments -s";
    add_zsh_options(out, command);
    for (const auto& argument : command.arguments)
      out += " \\\n    " + quoted((argument.repeats ? "*:" : ":") + escaped(argument.value) + ":" +
                                  zsh_action(argument));
    out += "\n}\n\n";
    return;
  }
  out += "  local context state state_descr line\n  typeset -A opt_args\n  _arguments -C -s";
  add_zsh_options(out, command);
  out +=
      " \\\n    ': :->command' \\\n    '*:: :->rest'\n  case $state in\n  command)\n"
      "    local -a commands=(";
  for (const auto& part : command.commands)
    out += "\n      " + quoted(fmt::format("{}:{}", part.name(), part.summary));
  out += ")\n    _describe command commands ;;\n  rest)\n    case $line[1] in\n";
  for (const auto& part : command.commands) {
    std::string called = "_" + part.path;
    std::ranges::replace(called, ' ', '_');
    std::ranges::replace(called, '-', '_');
    out += fmt::format("    {}) {} ;;\n", part.name(), called);
  }
  out += "    esac ;;\n  esac\n}\n\n";
  for (const auto& part : command.commands) add_zsh_function(out, part);
}

}  // namespace

std::string bash_completion(const CommandText& program) {
  std::vector<std::string> paths;
  std::string words;
  std::string choices;
  for_each_command(program, [&](const CommandText& command) {
    if (&command != &program) paths.push_back("'" + command.path + "'");
    std::vector<std::string> names;
    for (const auto& part : command.commands) names.emplace_back(part.name());
    for (const auto& option : command.options) {
      names.insert(names.end(), option.names.begin(), option.names.end());
      if (values_of(option) != Values::words) continue;
      for (const auto& name : option.names)
        choices +=
            fmt::format("    '{} {}') words='{}' ;;\n", command.path, name, words_of(option));
    }
    words += fmt::format("      '{}') words='{}'; {} ;;\n", command.path, fmt::join(names, " "),
                         command.arguments.empty() ? "others=" : "others=-f");
  });
  if (paths.empty()) paths.emplace_back("''");
  const std::string name(program.name());
  return fmt::format(R"(# bash completion for {0}
_{0}() {{
  local word path={0} words= others= current=${{COMP_WORDS[COMP_CWORD]}}
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
    {1}) path="$path $word" ;;
    esac
  done
  case "$path ${{COMP_WORDS[COMP_CWORD-1]}}" in
{2}    {3}) others=-f ;;
    {4}) others=-d ;;
    {5}) return ;;
    *)
      case $path in
{6}      esac ;;
  esac
  COMPREPLY=()
  [[ -z $words || ($others && $current != -*) ]] ||
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ $others && ${{#COMPREPLY[@]}} -eq 0 ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen "$others" -- "$current")
  fi
}}
complete -F _{0} {0}
)",
                     name, fmt::join(paths, "|"), choices, pattern(program, Values::files),
                     pattern(program, Values::folders), pattern(program, Values::others), words);
}

std::string zsh_completion(const CommandText& program) {
  std::string out = fmt::format("#compdef {}\n\n", program.name());
  add_zsh_function(out, program);
  return out + fmt::format("_{} \"$@\"\n", program.name());
}

}  // namespace sp2dpo::args
