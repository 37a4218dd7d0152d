// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "kernel.hpp"

namespace sp2dpo::ptx {
namespace {

using Words = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& what, std::string_view text) {
  throw std::runtime_error("PTX: " + what + ": " + std::string(text));
}

constexpr std::string_view blanks = " \t\r\n";

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

/// At every `separator` outside brackets.
Words split(std::string_view text, char separator) {
  Words parts;
  std::string part;
  int depth = 0;
  for (const char c : text) {
    depth += (c == '{' || c == '[' || c == '(') - (c == '}' || c == ']' || c == ')');
    if (c == separator && depth == 0)
      parts.push_back(trimmed(std::exchange(part, {})));
    else
      part += c;
  }
  if (!trimmed(part).empty()) parts.push_back(trimmed(part));
  return parts;
}

bool contains(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string without_comments(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == "//")
      i = std::min(text.find('\n', i), text.size());
    else
      result += text[i++];
  }
  return result;
}

/// The statements of a body, up to the brace that closes it. Labels are statements that end in a
/// colon; the braces of scopes are left out, since names are not used twice.
Words statements(std::string_view body) {
  Words result;
  std::string current;
  int scopes = 0;
  int vectors = 0;
  const auto finish = [&] {
    if (auto text = trimmed(std::exchange(current, {})); !text.empty()) result.push_back(text);
  };
  for (const char c : body) {
    if (c == '{' && (trimmed(current).empty() || current.back() == ':')) {
      ++scopes;
    } else if (c == '}' && vectors == 0) {
      if (scopes-- == 0) break;
    } else if (c == ';') {
      finish();
    } else if (c == ':' && trimmed(current).find_first_of(blanks) == std::string::npos) {
      current += c;
      finish();
    } else {
      vectors += (c == '{') - (c == '}');
      current += c;
    }
  }
  return result;
}

std::uint32_t bytes_of(std::string_view type) {
  if (type == "pred" || type == ".pred") return 1;
  const auto digits = type.find_first_of("0123456789");
  unsigned bits = 0;
  if (digits != std::string_view::npos)
    std::from_chars(type.data() + digits, type.data() + type.size(), bits);
  if (bits % 8 != 0 || bits == 0) refuse("a type of unknown size", type);
  return bits / 8;
}

struct Variable {
  std::string name;
  std::uint32_t bytes, alignment;
};

/// Of `.shared .align 8 .b8 name[24]`.
Variable parse_variable(const std::string& text) {
  Words words = split(text, ' ');
  Variable variable{.name = words.back(), .bytes = 1, .alignment = 1};
  if (const auto bracket = variable.name.find('['); bracket != std::string::npos) {
    variable.bytes =
        static_cast<std::uint32_t>(std::stoul("0" + variable.name.substr(bracket + 1)));
    variable.name.resize(bracket);
  }
  const std::uint32_t size = bytes_of(words[words.size() - 2]);
  variable.bytes *= size;
  variable.alignment = size;
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == ".align")
      variable.alignment = static_cast<std::uint32_t>(std::stoul(words[i + 1]));
  return variable;
}

std::uint32_t aligned(std::uint32_t offset, std::uint32_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

class Parser {
 public:
  Parser(std::string_view module, const std::string& name);
  Kernel take() { return std::move(kernel_); }

 private:
  void read_parameters(std::string_view list);
  void read_shared(std::string_view module);
  void read_statement(const std::string& text);
  void read_directive(const std::string& text);
  void read_memory(Instruction& in, const Words& opcode, Words operands);
  void read_atomic(Instruction& in, const Words& opcode, Words operands);
  void read_pack(Instruction& in, const Words& opcode, const Words& operands);
  void read_warp(Instruction& in, const Words& opcode, const Words& operands);
  void read_compute(Instruction& in, Words opcode, Words operands);
  bool read_control(Instruction& in, const Words& opcode, const Words& operands);
  void read_address(Instruction& in, std::string text);

  Slot slot(std::uint64_t value) {
    kernel_.slots.push_back(value);
    return static_cast<Slot>(kernel_.slots.size() - 1);
  }
  Slot constant(std::uint64_t value) {
    const auto [at, is_new] = constants_.try_emplace(value, Slot{0});
    if (is_new) at->second = slot(value);
    return at->second;
  }
  Slot special(const std::string& name) {
    const auto [at, is_new] = kernel_.special.try_emplace(name, Slot{0});
    if (is_new) at->second = slot(0);
    return at->second;
  }
  Slot operand(const std::string& text);
  Slot target(const std::string& text) { return text == "_" ? no_slot : operand(text); }

  static constexpr std::uint64_t poison = 0xdeadbeefdeadbeef;

  Kernel kernel_;
  std::map<std::string, Slot> registers_;
  std::map<std::uint64_t, Slot> constants_;
  std::map<std::string, std::uint64_t> symbols_;
  std::map<std::string, Variable> shared_;  ///< of the module; room is made at the first use
  std::vector<Slot> dynamic_shared_;
  std::map<std::string, std::size_t> labels_;
  std::vector<std::pair<std::size_t, std::string>> jumps_;
};

Parser::Parser(std::string_view module, const std::string& name) {
  kernel_.name = name;
  const auto entry = module.find(".entry " + name + "(");
  const auto open = module.find('(', entry);
  const auto close = module.find(')', open);
  const auto body = module.find('{', close);
  read_parameters(module.substr(open + 1, close - open - 1));
  const std::string limits(module.substr(close + 1, body - close - 1));
  if (const auto at = limits.find(".maxntid"); at != std::string::npos)
    for (kernel_.most_threads = 1; const auto& extent : split(limits.substr(at + 8), ','))
      kernel_.most_threads *= static_cast<std::uint32_t>(std::stoul(extent));
  read_shared(module);
  for (const auto& text : statements(module.substr(body + 1))) read_statement(text);
  if (!dynamic_shared_.empty()) kernel_.shared_bytes = aligned(kernel_.shared_bytes, 16);
  for (const Slot at : dynamic_shared_) kernel_.slots[at] = kernel_.shared_bytes;
  for (const auto& [at, label] : jumps_) {
    const auto found = labels_.find(label);
    if (found == labels_.end()) refuse("no such label", label);
    kernel_.code[at].jump = found->second;
  }
}

void Parser::read_parameters(std::string_view list) {
  std::uint32_t offset = 0;
  for (const auto& text : split(list, ',')) {
    const Variable variable = parse_variable(text);
    offset = aligned(offset, variable.alignment);
    symbols_[variable.name] = offset;
    kernel_.parameters.push_back({offset, variable.bytes});
    offset += variable.bytes;
  }
  kernel_.parameter_bytes = offset;
}

/// Shared memory that is declared outside of kernels.
void Parser::read_shared(std::string_view module) {
  for (std::size_t at = 0; (at = module.find(".shared .align", at)) != std::string_view::npos;) {
    const auto end = module.find(';', at);
    const Variable variable = parse_variable(std::string(module.substr(at, end - at)));
    shared_.try_emplace(variable.name, variable);
    at = end;
  }
}

Slot Parser::operand(const std::string& text) {
  if (const auto found = registers_.find(text); found != registers_.end()) return found->second;
  if (text.starts_with('%')) {
    if (const auto dot = text.find('.'); dot != std::string::npos || !std::isdigit(text.back()))
      return special(text);
    return registers_[text] = slot(poison);
  }
  if (text.starts_with("0f") || text.starts_with("0d"))
    return constant(std::stoull(text.substr(2), nullptr, 16));
  if (std::isdigit(text[0])) return constant(std::stoull(text, nullptr, 0));
  if (text[0] == '-') return constant(static_cast<std::uint64_t>(std::stoll(text, nullptr, 0)));
  if (const auto found = symbols_.find(text); found != symbols_.end())
    return constant(found->second);
  if (const auto found = shared_.find(text); found != shared_.end()) {
    if (found->second.bytes == 0) {  // its size is the launch's
      dynamic_shared_.push_back(slot(0));
      return registers_[text] = dynamic_shared_.back();
    }
    const std::uint32_t offset = aligned(kernel_.shared_bytes, found->second.alignment);
    kernel_.shared_bytes = offset + found->second.bytes;
    symbols_[text] = offset;
    return constant(offset);
  }
  refuse("an unknown operand", text);
}

void Parser::read_directive(const std::string& text) {
  if (text.starts_with(".local")) {
    const Variable variable = parse_variable(text);
    kernel_.local_bytes = aligned(kernel_.local_bytes, variable.alignment);
    symbols_[variable.name] = kernel_.local_bytes;
    kernel_.local_bytes += variable.bytes;
  } else if (text.starts_with(".reg")) {
    // Names within braces of inline assembly need no digit at their end.
    const std::string name = split(text, ' ').back();
    if (name.find('<') == std::string::npos) registers_[name] = slot(poison);
  } else if (!text.starts_with(".shared") && !text.starts_with(".pragma")) {
    refuse("an unknown directive", text);
  }
}

void Parser::read_statement(const std::string& text) {
  if (text.ends_with(':')) {
    labels_[text.substr(0, text.size() - 1)] = kernel_.code.size();
    return;
  }
  if (text.starts_with('.')) return read_directive(text);

  Instruction in;
  in.text = text;
  std::replace_if(
      in.text.begin(), in.text.end(), [](char c) { return c == '\t' || c == '\n'; }, ' ');
  std::string rest = in.text;
  const auto take_word = [&rest] {
    const auto end = std::min(rest.find(' '), rest.size());
    std::string word = rest.substr(0, end);
    rest = trimmed(std::string_view(rest).substr(end));
    return word;
  };
  if (rest.starts_with('@')) {
    std::string predicate = take_word().substr(1);
    in.negated = predicate.starts_with('!');
    in.predicate = operand(predicate.substr(in.negated ? 1 : 0));
  }
  const Words opcode = split(take_word(), '.');
  const Words operands = split(rest, ',');
  if (opcode[0] == "ld" || opcode[0] == "st" || opcode[0] == "ldu")
    read_memory(in, opcode, operands);
  else if (opcode[0] == "atom" || opcode[0] == "red")
    read_atomic(in, opcode, operands);
  else if (opcode[0] == "mov" && rest.find('{') != std::string::npos)
    read_pack(in, opcode, operands);
  else if (opcode[0] == "shfl" || opcode[0] == "vote" || opcode[0] == "redux" ||
           in.text.find("bar.warp.sync") != std::string::npos)
    read_warp(in, opcode, operands);
  else if (!read_control(in, opcode, operands))
    read_compute(in, opcode, operands);
  kernel_.code.push_back(std::move(in));
}

void Parser::read_address(Instruction& in, std::string text) {
  text = trimmed(std::string_view(text).substr(1, text.size() - 2));
  if (const auto sign = text.find_first_of("+-", 1); sign != std::string::npos) {
    const auto digits = text[sign] == '+' ? sign + 1 : sign;
    in.offset = std::stoll(text.substr(digits));
    text = trimmed(text.substr(0, sign));
  }
  in.source[0] = operand(text);
}

Space space_of(const Words& opcode) {
  for (const auto& word : opcode) {
    if (word == "global" || word == "const") return Space::global;
    if (word.starts_with("shared")) return Space::shared;
    if (word == "local") return Space::local;
    if (word.starts_with("param")) return Space::parameter;
  }
  return Space::generic;
}

void Parser::read_memory(Instruction& in, const Words& opcode, Words operands) {
  in.kind = opcode[0] == "st" ? Kind::store : Kind::load;
  in.space = space_of(opcode);
  const std::string& type = opcode.back();
  in.bytes = static_cast<std::uint8_t>(bytes_of(type));
  in.is_signed = type[0] == 's';
  if (in.kind == Kind::load) std::swap(operands[0], operands[1]);
  read_address(in, operands[0]);
  std::string values = operands[1];
  if (values[0] == '{') values = values.substr(1, values.size() - 2);
  for (const auto& value : split(values, ','))
    in.target[in.count++] = in.kind == Kind::load ? target(value) : operand(value);
  const int count = contains(opcode, "v4") ? 4 : contains(opcode, "v2") ? 2 : 1;
  if (in.count != count) refuse("a vector of another length", in.text);
}

void Parser::read_atomic(Instruction& in, const Words& opcode, Words operands) {
  in.kind = Kind::atomic;
  in.space = space_of(opcode);
  in.bytes = static_cast<std::uint8_t>(bytes_of(opcode.back()));
  in.count = 1;
  // What it leaves in memory, target[0], comes of what it finds there, source[0], as with add.u64
  // and its like; the address is source[4].
  static const std::set<std::string, std::less<>> known{"add", "min", "max", "and", "or", "xor"};
  const auto what = std::find_if(opcode.begin(), opcode.end(),
                                 [](const auto& word) { return known.contains(word); });
  if (what == opcode.end()) refuse("an unknown atomic operation", in.text);
  in.operation = find_operation(*what + '.' + opcode.back());
  if (in.operation == nullptr) refuse("an unknown atomic operation", in.text);
  if (opcode[0] == "atom") {
    in.target[1] = target(operands[0]);
    operands.erase(operands.begin());
  }
  read_address(in, operands[0]);
  in.source[4] = in.source[0];
  in.source[0] = slot(0);
  in.source[1] = operand(operands[1]);
  in.target[0] = slot(0);
}

void Parser::read_pack(Instruction& in, const Words& opcode, const Words& operands) {
  in.kind = Kind::compute;
  const bool packs = operands[1][0] == '{';
  const std::string& list = operands[packs ? 1 : 0];
  const Words parts = split(std::string_view(list).substr(1, list.size() - 2), ',');
  in.count = static_cast<std::uint8_t>(parts.size());
  in.bytes = static_cast<std::uint8_t>(bytes_of(opcode.back()) / parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i)
    packs ? void(in.source[i] = operand(parts[i])) : void(in.target[i] = target(parts[i]));
  if (packs)
    in.target[0] = operand(operands[0]);
  else
    in.source[0] = operand(operands[1]);
  in.operation = find_operation(packs ? "pack" : "unpack");
}

Exchange exchange_of(const Words& opcode) {
  if (opcode[0] == "bar" || opcode[0] == "barrier") return Exchange::barrier;
  if (opcode[0] == "redux") return Exchange::reduce;
  const std::string mode = opcode.size() > 2 ? opcode[2] : "";
  static const std::map<std::string, Exchange, std::less<>> by_mode{
      {"up", Exchange::shuffle_up},    {"down", Exchange::shuffle_down},
      {"bfly", Exchange::shuffle_xor}, {"idx", Exchange::shuffle_index},
      {"ballot", Exchange::ballot},    {"all", Exchange::all},
      {"any", Exchange::any}};
  const auto found = by_mode.find(mode);
  if (found == by_mode.end()) refuse("an unknown exchange within a warp", mode);
  return found->second;
}

/// The mask is source[3].
void Parser::read_warp(Instruction& in, const Words& opcode, const Words& operands) {
  in.kind = Kind::warp;
  in.exchange = exchange_of(opcode);
  if (in.exchange == Exchange::barrier) {
    in.source[3] = operand(operands[0]);
  } else if (opcode[0] == "shfl") {
    const Words targets = split(operands[0], '|');
    in.target[0] = target(targets[0]);
    if (targets.size() > 1) in.target[1] = target(targets[1]);
    for (int i = 0; i < 4; ++i) in.source[i] = operand(operands[i + 1]);
  } else {
    if (in.exchange == Exchange::reduce) {
      in.operation = find_operation(opcode[2] + '.' + opcode.back());
      if (in.operation == nullptr) refuse("an unknown instruction", in.text);
    }
    in.target[0] = target(operands[0]);
    in.source[0] = operand(operands[1]);
    in.source[3] = operand(operands[2]);
  }
}

bool Parser::read_control(Instruction& in, const Words& opcode, const Words& operands) {
  const std::string& name = opcode[0];
  if (name == "bra") {
    in.kind = Kind::branch;
    jumps_.emplace_back(kernel_.code.size(), operands[0]);
  } else if (name == "ret" || name == "exit") {
    in.kind = Kind::exit;
  } else if (name == "trap") {
    in.kind = Kind::trap;
  } else if (in.text.find("barrier.cluster") != std::string::npos) {
    in.kind = contains(opcode, "arrive") ? Kind::cluster_arrive : Kind::cluster_wait;
  } else if ((name == "bar" || name == "barrier") && contains(opcode, "sync")) {
    if (operands.size() != 1 || operands[0] != "0") refuse("only barrier 0 is known", in.text);
    in.kind = Kind::barrier;
  } else if (name == "membar" || name == "fence" || name == "prefetch" ||
             name == "griddepcontrol") {
    in.kind = Kind::nothing;
  } else {
    return false;
  }
  return true;
}

void Parser::read_compute(Instruction& in, Words opcode, Words operands) {
  in.kind = Kind::compute;
  // Rounding to nearest is what these do.
  if (opcode[0] != "cvt") std::erase(opcode, "rn");
  std::string name = opcode[0];
  for (std::size_t i = 1; i < opcode.size(); ++i) name += '.' + opcode[i];
  if (opcode[0] == "cvta" && opcode[1] == "shared") operands.push_back("%shared_window");
  in.operation = find_operation(name);
  if (in.operation == nullptr) refuse("an unknown instruction", in.text);
  if (operands.size() > 1 + in.source.size()) refuse("too many operands", in.text);
  in.target[0] = operand(operands[0]);
  for (std::size_t i = 1; i < operands.size(); ++i) in.source[i - 1] = operand(operands[i]);
}

unsigned target_of(std::string_view module) {
  const auto at = module.find(".target sm_");
  unsigned target = 0;
  if (at != std::string_view::npos)
    std::from_chars(module.data() + at + 11, module.data() + module.size(), target);
  return target;
}

}  // namespace

std::optional<Kernel> parse_kernel(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability) {
  const std::string* best = nullptr;
  for (const auto& module : modules) {
    if (module.find(".entry " + name + "(") == std::string::npos) continue;
    const unsigned target = target_of(module);
    if (target <= capability && (best == nullptr || target > target_of(*best))) best = &module;
  }
  if (best == nullptr) return {};
  Kernel kernel = Parser(without_comments(*best), name).take();
  kernel.target = target_of(*best);
  return kernel;
}

}  // namespace sp2dpo::ptx
