// SPDX-License-Identifier: Apache-2.0
#include "declarations.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "statements.hpp"

namespace sp2dpo::ptx {

Variable parse_variable(const std::string& text) {
  Words words = split(text, ' ');
  std::erase(words, "");
  Variable variable{.name = words.back(), .bytes = 1, .alignment = 0};
  if (const auto bracket = variable.name.find('['); bracket != std::string::npos) {
    variable.bytes =
        static_cast<std::uint32_t>(std::stoul("0" + variable.name.substr(bracket + 1)));
    variable.name.resize(bracket);
  }
  std::size_t i = 1;
  for (; i + 2 < words.size() && words[i] == ".align"; i += 2)
    variable.alignment = static_cast<std::uint32_t>(std::stoul(words[i + 1]));
  const std::uint32_t size = bytes_of(words.at(i));
  variable.bytes *= size;
  variable.alignment = std::max(variable.alignment, size);
  return variable;
}

std::uint32_t aligned(std::uint32_t offset, std::uint32_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

std::optional<Global> find_global(std::string_view module, const std::string& name) {
  for (std::size_t at = 0; (at = module.find(name, at)) != std::string_view::npos; ++at) {
    const auto begin = module.rfind('\n', at) + 1;
    const auto after = at + name.size();
    const bool is_whole = after < module.size() &&
                          std::string_view("[;= ").find(module[after]) != std::string_view::npos;
    Words words = split(module.substr(begin, at - begin), ' ');
    std::erase(words, "");
    while (!words.empty() && (words[0] == ".visible" || words[0] == ".weak"))
      words.erase(words.begin());
    if (!is_whole || words.empty() || (words[0] != ".global" && words[0] != ".const")) continue;
    const std::string statement(module.substr(begin, module.find(';', at) - begin));
    const auto equals = statement.find('=');
    std::string declared;
    for (const auto& word : words) declared += word + ' ';
    const Variable variable = parse_variable(
        declared + trimmed(std::string_view(statement).substr(at - begin, equals - (at - begin))));
    Global global{name, std::vector<std::byte>(variable.bytes)};
    if (equals == std::string::npos) return global;
    const std::uint32_t size = bytes_of(words.back());
    std::string list = trimmed(std::string_view(statement).substr(equals + 1));
    if (list[0] == '{') list = list.substr(1, list.size() - 2);
    std::size_t i = 0;
    for (const auto& element : split(list, ',')) {
      const std::uint64_t value = number(element);
      std::memcpy(&global.value.at(size * i++), &value, size);
    }
    return global;
  }
  return {};
}

std::map<std::string, Variable> shared_variables(std::string_view module) {
  std::map<std::string, Variable> variables;
  for (std::size_t at = 0; (at = module.find(".shared .align", at)) != std::string_view::npos;) {
    const auto end = module.find(';', at);
    const Variable variable = parse_variable(std::string(module.substr(at, end - at)));
    variables.try_emplace(variable.name, variable);
    at = end;
  }
  return variables;
}

std::map<std::string, std::string> source_files(std::string_view module) {
  std::map<std::string, std::string> files;
  for (std::size_t at = 0; (at = module.find(".file", at)) != std::string_view::npos; at += 5) {
    const std::string line(module.substr(at + 5, module.find('\n', at) - at - 5));
    const auto open = line.find('"'), close = line.rfind('"');
    if (open == close) continue;
    const std::string path = line.substr(open + 1, close - open - 1);
    files[trimmed(line.substr(0, open))] = path.substr(path.rfind('/') + 1);
  }
  return files;
}

std::map<std::string, FunctionText> functions(std::string_view module) {
  std::map<std::string, FunctionText> found;
  for (std::size_t at = 0; (at = module.find(".func", at)) != std::string_view::npos;) {
    at += 5;
    const auto body = module.find_first_of("{;", at);
    if (body == std::string_view::npos || module[body] == ';') continue;
    std::string_view rest = module.substr(at, body - at);
    const auto take_list = [&rest]() -> std::string_view {
      rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
      if (!rest.starts_with('(')) return {};
      const auto list = rest.substr(1, rest.find(')') - 1);
      rest.remove_prefix(list.size() + 2);
      return list;
    };
    FunctionText function;
    function.body = body;
    function.results = take_list();
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    const std::string name(rest.substr(0, rest.find_first_of("( \t\r\n")));
    rest.remove_prefix(name.size());
    function.parameters = take_list();
    found.try_emplace(name, function);
  }
  return found;
}

unsigned target_of(std::string_view module) {
  const auto at = module.find(".target sm_");
  unsigned target = 0;
  if (at != std::string_view::npos)
    std::from_chars(module.data() + at + 11, module.data() + module.size(), target);
  return target;
}

const std::string* newest(const std::vector<std::string>& modules, const std::string& text,
                          unsigned capability) {
  const std::string* best = nullptr;
  for (const auto& module : modules) {
    if (module.find(text) == std::string::npos) continue;
    const unsigned target = target_of(module);
    if (target <= capability && (best == nullptr || target > target_of(*best))) best = &module;
  }
  return best;
}

}  // namespace sp2dpo::ptx
