// SPDX-License-Identifier: Apache-2.0
#include "parser.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <utility>

#include "declarations.hpp"
#include "opcodes.hpp"
#include "operations.hpp"
#include "statements.hpp"

namespace sp2dpo::ptx {
namespace {

/// A parameter or a result of a function, in slots of the function or of its caller.
struct Passed {
  Slot slot = no_slot;
  std::uint32_t bytes = 0;
};

/// A function of the module, and where its code and its memory are in the kernel.
struct Function {
  FunctionText text;
  std::map<std::string, Passed> names;
  std::vector<Passed> in, out;
  std::size_t entry = 0;
  std::uint32_t local_offset = 0, local_bytes = 0;
  bool is_called = false;
};

class Parser {
 public:
  Parser(std::string_view module, const std::string& name, const GlobalAddress& address_of);
  Kernel take() { return std::move(kernel_); }

 private:
  void read_parameters(std::string_view list);
  void read_body(std::size_t begin);
  void read_location(const std::string& text);
  void read_statement(const std::string& text, std::uint32_t line);
  void read_directive(const std::string& text);
  void read_memory(Instruction& in, const std::string& opcode, Words operands);
  void read_atomic(Instruction& in, const std::string& opcode, Words operands);
  void read_pack(Instruction& in, const Words& opcode, const Words& operands);
  void read_warp(Instruction& in, const std::string& opcode, const Words& operands);
  void read_compute(Instruction& in, Words opcode, Words operands);
  void read_control(Instruction& in, const Words& operands);
  void read_call(Instruction& in, const Words& operands);
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
  Passed pass(std::uint32_t bytes);

  static constexpr std::uint64_t poison = 0xdeadbeefdeadbeef;

  const std::string_view module_;
  const GlobalAddress& address_of_;
  Kernel kernel_;
  std::map<std::uint64_t, Slot> constants_;
  std::map<std::string, std::uint64_t> symbols_;  ///< addresses, or the offset of a parameter
  std::map<std::string, Variable> shared_;        ///< of the module; allocated at first use
  std::map<std::string, Slot> dynamic_shared_;
  std::map<std::string, std::string> files_;  ///< by their number
  std::map<std::string, Function> functions_;
  std::vector<Function*> called_;   ///< in the order of their code
  std::vector<Function*> callees_;  ///< one per call of the kernel
  std::map<std::string, std::string>
      inlined_at_;  ///< the latest position of the caller, by position
  std::map<std::string, std::uint32_t> places_;

  // The body that is being read.
  Function* function_ = nullptr;  ///< null in the kernel's own body
  std::map<std::string, Slot> registers_;
  std::map<std::string, Passed> passed_;
  std::map<std::string, std::size_t> labels_;
  std::vector<std::pair<std::size_t, std::string>> jumps_;
  std::uint32_t where_ = 0;
};

Parser::Parser(std::string_view module, const std::string& name, const GlobalAddress& address_of)
    : module_(module),
      address_of_(address_of),
      shared_(shared_variables(module)),
      files_(source_files(module)) {
  kernel_.name = name;
  const auto target = module.find(".target ");
  kernel_.is_debug =
      module.substr(target, module.find('\n', target) - target).find("debug") != std::string::npos;
  const auto entry = module.find(".entry " + name + "(");
  const auto open = module.find('(', entry);
  const auto close = module.find(')', open);
  const auto body = module.find('{', close);
  read_parameters(module.substr(open + 1, close - open - 1));
  const std::string limits(module.substr(close + 1, body - close - 1));
  if (const auto at = limits.find(".maxntid"); at != std::string::npos)
    for (kernel_.max_threads = 1; const auto& extent : split(limits.substr(at + 8), ','))
      kernel_.max_threads *= static_cast<std::uint32_t>(std::stoul(extent));
  for (const auto& [function, text] : functions(module)) functions_[function].text = text;
  read_body(body);
  for (std::size_t i = 0; i < called_.size(); ++i) {  // grows in the loop
    function_ = called_[i];
    function_->entry = kernel_.code.size();
    function_->local_offset = kernel_.local_bytes = aligned(kernel_.local_bytes, 16);
    passed_ = std::move(function_->names);
    read_body(function_->text.body);
    function_->local_bytes = kernel_.local_bytes - function_->local_offset;
  }
  for (std::size_t i = 0; i < callees_.size(); ++i) {
    kernel_.calls[i].entry = callees_[i]->entry;
    kernel_.calls[i].local_offset = callees_[i]->local_offset;
    kernel_.calls[i].local_bytes = callees_[i]->local_bytes;
  }
  if (!dynamic_shared_.empty()) kernel_.shared_bytes = aligned(kernel_.shared_bytes, 16);
  for (const auto& [_, at] : dynamic_shared_) kernel_.slots[at] = kernel_.shared_bytes;
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

Passed Parser::pass(std::uint32_t bytes) {
  const Passed passed{static_cast<Slot>(kernel_.slots.size()), bytes};
  kernel_.slots.resize(kernel_.slots.size() + (bytes + 7) / 8, poison);
  return passed;
}

void Parser::read_body(std::size_t begin) {
  registers_.clear();
  labels_.clear();
  jumps_.clear();
  where_ = 0;
  const std::uint32_t line = 1 + lines_in(module_.substr(0, begin + 1));
  for_each_statement(module_.substr(begin + 1), line, [&](const auto& text, std::uint32_t at) {
    try {
      read_statement(text, at);
    } catch (const std::exception& error) {
      throw std::runtime_error(error.what() + (" (line " + std::to_string(at)) +
                               " of the PTX, in " + kernel_.name + "): " + text);
    }
  });
  for (const auto& [at, label] : jumps_) {
    const auto found = labels_.find(label);
    if (found == labels_.end()) refuse("undefined label", label);
    kernel_.code[at].jump = found->second;
  }
}

/// Reads `.loc 2 61 5, function_name $L__info_string7, inlined_at 1 28 3`. The directive before it
/// has the position that this one is inlined at.
void Parser::read_location(const std::string& text) {
  const Words parts = split(text, ',');
  const std::string position = trimmed(parts[0].substr(4));
  inlined_at_.erase(position);
  for (const auto& part : parts)
    if (part.starts_with("inlined_at")) inlined_at_[position] = trimmed(part.substr(10));
  std::string place;
  std::string at = position;
  for (int depth = 0; depth < 16; ++depth) {
    const Words numbers = split(at, ' ');
    if (numbers.size() > 1) place += files_[numbers[0]] + ':' + numbers[1];
    const auto outer = inlined_at_.find(at);
    if (outer == inlined_at_.end()) break;
    at = outer->second;
    place += ", inlined at ";
  }
  const auto [found, is_new] = places_.try_emplace(place, kernel_.places.size());
  if (is_new) kernel_.places.push_back(place);
  where_ = found->second;
}

Slot Parser::operand(const std::string& text) {
  if (const auto found = registers_.find(text); found != registers_.end()) return found->second;
  if (text.starts_with('%')) {
    if (const auto dot = text.find('.'); dot != std::string::npos || !std::isdigit(text.back()))
      return special(text);
    return registers_[text] = slot(poison);
  }
  if (std::isdigit(text[0]) || text[0] == '-') return constant(number(text));
  if (const auto found = symbols_.find(text); found != symbols_.end())
    return constant(found->second);
  if (const auto found = shared_.find(text); found != shared_.end()) {
    if (found->second.bytes == 0) {  // the launch sets its size
      const auto [at, is_new] = dynamic_shared_.try_emplace(text, Slot{0});
      if (is_new) at->second = slot(0);
      return at->second;
    }
    const std::uint32_t offset = aligned(kernel_.shared_bytes, found->second.alignment);
    kernel_.shared_bytes = offset + found->second.bytes;
    symbols_[text] = offset;
    return constant(offset);
  }
  if (const auto global = find_global(module_, text)) {
    symbols_[text] = address_of_(*global);
    return constant(symbols_[text]);
  }
  if (passed_.contains(text))
    refuse("the address of a function's parameter is not supported", text);
  refuse("unknown operand", text);
}

void Parser::read_directive(const std::string& text) {
  if (text.starts_with(".local")) {
    const Variable variable = parse_variable(text);
    kernel_.local_bytes = aligned(kernel_.local_bytes, variable.alignment);
    symbols_[variable.name] = kernel_.local_bytes;
    kernel_.local_bytes += variable.bytes;
  } else if (text.starts_with(".reg")) {
    // Names inside the braces of inline assembly may end without a digit.
    const std::string name = split(text, ' ').back();
    if (name.find('<') == std::string::npos) registers_[name] = slot(poison);
  } else if (text.starts_with(".param")) {
    const Variable variable = parse_variable(text);
    Passed& passed = passed_[variable.name];
    // Consecutive calls reuse the same names.
    if ((passed.bytes + 7) / 8 < (variable.bytes + 7) / 8) passed = pass(variable.bytes);
    passed.bytes = variable.bytes;
  } else if (is_location(text)) {
    read_location(text);
  } else if (!text.starts_with(".shared") && !text.starts_with(".pragma")) {
    refuse("unknown directive", text);
  }
}

void Parser::read_statement(const std::string& text, std::uint32_t line) {
  if (text.ends_with(':')) {
    labels_[text.substr(0, text.size() - 1)] = kernel_.code.size();
    return;
  }
  if (text.starts_with('.')) return read_directive(text);

  Instruction in;
  in.line = line;
  in.where = where_;
  for (const char c : text) {
    const bool is_blank = blanks.find(c) != std::string_view::npos;
    if (!is_blank || in.text.back() != ' ') in.text += is_blank ? ' ' : c;
  }
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
  const std::string opcode = take_word();
  const Words operands = split(rest, ',');
  const std::string family = opcode.substr(0, opcode.find('.'));
  if (family == "ld" || family == "ldu" || family == "st") {
    read_memory(in, opcode, operands);
  } else if (family == "atom" || family == "red") {
    read_atomic(in, opcode, operands);
  } else if (family == "mov" && rest.find('{') != std::string::npos) {
    read_pack(in, split(opcode, '.'), operands);
  } else if (const auto exchange = find_exchange(opcode)) {
    in.exchange = *exchange;
    read_warp(in, opcode, operands);
  } else if (const auto kind = find_control(opcode)) {
    in.kind = *kind;
    read_control(in, operands);
  } else {
    read_compute(in, split(opcode, '.'), operands);
  }
  kernel_.code.push_back(std::move(in));
}

void Parser::read_address(Instruction& in, std::string text) {
  text = trimmed(std::string_view(text).substr(1, text.size() - 2));
  if (const auto sign = text.find_first_of("+-", 1); sign != std::string::npos) {
    const auto digits = text[sign] == '+' ? sign + 1 : sign;
    in.offset = std::stoll(text.substr(digits));
    text = trimmed(text.substr(0, sign));
  }
  const auto passed = passed_.find(text);
  if (in.space != Space::parameter || passed == passed_.end()) {
    in.source[0] = operand(text);
    return;
  }
  if (in.offset < 0 || in.offset + in.bytes * in.count > passed->second.bytes)
    refuse("access beyond " + text, in.text);
  in.space = Space::slots;
  in.source[0] = constant(8 * std::uint64_t{passed->second.slot});
}

void Parser::read_memory(Instruction& in, const std::string& opcode, Words operands) {
  const MemoryOpcode what(opcode);
  in.kind = opcode.starts_with("st") ? Kind::store : Kind::load;
  in.space = what.space;
  in.bytes = what.bytes;
  in.is_signed = what.is_signed;
  if (in.kind == Kind::load) std::swap(operands.at(0), operands.at(1));
  std::string values = operands.at(1);
  if (values[0] == '{') values = values.substr(1, values.size() - 2);
  const Words list = split(values, ',');
  if (list.size() != what.count) refuse("the vector's length does not match the opcode", in.text);
  for (const auto& value : list)
    in.target[in.count++] = in.kind == Kind::load ? target(value) : operand(value);
  read_address(in, operands[0]);
}

void Parser::read_atomic(Instruction& in, const std::string& opcode, Words operands) {
  const MemoryOpcode what(opcode);
  in.kind = Kind::atomic;
  in.space = what.space;
  in.bytes = what.bytes;
  in.count = 1;
  // The new value, target[0], is computed from the old one, source[0], and the operands from
  // source[1] on; the address is source[4].
  in.operation = atomic_operation(what.operation);
  if (in.operation == nullptr) refuse_opcode(opcode);
  if (opcode.starts_with("atom")) {
    in.target[1] = target(operands.at(0));
    operands.erase(operands.begin());
  }
  read_address(in, operands.at(0));
  in.source[4] = in.source[0];
  in.source[0] = slot(0);
  for (std::size_t i = 1; i < operands.size(); ++i) in.source.at(i) = operand(operands[i]);
  in.target[0] = slot(0);
}

void Parser::read_pack(Instruction& in, const Words& opcode, const Words& operands) {
  in.kind = Kind::compute;
  const bool packs = operands.at(1)[0] == '{';
  const std::string& list = operands[packs ? 1 : 0];
  const Words parts = split(std::string_view(list).substr(1, list.size() - 2), ',');
  if (opcode.size() != 2 || parts.size() > 4) refuse("unknown instruction", in.text);
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

/// The mask becomes source[3].
void Parser::read_warp(Instruction& in, const std::string& opcode, const Words& operands) {
  in.kind = Kind::warp;
  if (in.exchange == Exchange::barrier) {
    in.source[3] = operand(operands.at(0));
  } else if (opcode.starts_with("shfl")) {
    const Words targets = split(operands.at(0), '|');
    in.target[0] = target(targets[0]);
    if (targets.size() > 1) in.target[1] = target(targets[1]);
    for (int i = 0; i < 4; ++i) in.source[i] = operand(operands.at(i + 1));
  } else {
    if (in.exchange == Exchange::reduce) in.operation = find_operation(opcode.substr(11));
    in.target[0] = target(operands.at(0));
    in.source[0] = operand(operands.at(1));
    in.source[3] = operand(operands.at(2));
  }
}

void Parser::read_control(Instruction& in, const Words& operands) {
  if (in.kind == Kind::branch) jumps_.emplace_back(kernel_.code.size(), operands.at(0));
  if (in.kind == Kind::leave && function_ == nullptr) in.kind = Kind::exit;
  if (in.kind == Kind::barrier && (operands.size() != 1 || operands[0] != "0"))
    refuse("only barrier 0 is supported", in.text);
  if (in.kind == Kind::call) read_call(in, operands);
}

/// Reads `call (result), name, (arguments)`, where either list may be missing.
void Parser::read_call(Instruction& in, const Words& operands) {
  const auto names = [](const std::string& list) {
    return split(std::string_view(list).substr(1, list.size() - 2), ',');
  };
  const std::size_t at = operands.at(0)[0] == '(' ? 1 : 0;
  const Words results = at == 1 ? names(operands[0]) : Words{};
  const Words arguments = at + 1 < operands.size() ? names(operands[at + 1]) : Words{};
  const auto found = functions_.find(operands.at(at));
  if (found == functions_.end())
    refuse("a call through a pointer, or of a function that the module does not define", in.text);
  Function& function = found->second;
  if (!std::exchange(function.is_called, true)) {
    called_.push_back(&function);
    const auto declare = [&](std::string_view list, std::vector<Passed>& all) {
      for (const auto& text : split(list, ',')) {
        const Variable variable = parse_variable(text);
        all.push_back(function.names[variable.name] = pass(variable.bytes));
      }
    };
    declare(function.text.parameters, function.in);
    declare(function.text.results, function.out);
  }
  Call call;
  call.function = found->first;
  if (arguments.size() != function.in.size() || results.size() != function.out.size())
    refuse("the number of arguments or results does not match the function", in.text);
  for (std::size_t i = 0; i < arguments.size(); ++i)
    call.arguments.push_back(
        {passed_.at(arguments[i]).slot, function.in[i].slot, (function.in[i].bytes + 7) / 8});
  for (std::size_t i = 0; i < results.size(); ++i)
    call.results.push_back(
        {function.out[i].slot, passed_.at(results[i]).slot, (function.out[i].bytes + 7) / 8});
  in.jump = kernel_.calls.size();
  kernel_.calls.push_back(std::move(call));
  callees_.push_back(&function);
}

void Parser::read_compute(Instruction& in, Words opcode, Words operands) {
  in.kind = Kind::compute;
  // These operations round to nearest anyway.
  if (opcode[0] != "cvt") std::erase(opcode, "rn");
  std::string name = opcode[0];
  for (std::size_t i = 1; i < opcode.size(); ++i) name += '.' + opcode[i];
  if (name == "cvta.shared.u64") operands.push_back("%shared_window");
  in.operation = find_operation(name);
  if (in.operation == nullptr) refuse_opcode(name);
  if (operands.size() > 1 + in.source.size()) refuse("too many operands", in.text);
  in.target[0] = operand(operands.at(0));
  for (std::size_t i = 1; i < operands.size(); ++i) in.source[i - 1] = operand(operands[i]);
}

}  // namespace

std::optional<Kernel> parse_kernel(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability, const GlobalAddress& address_of) {
  const std::string* const module = newest(modules, ".entry " + name + "(", capability);
  if (module == nullptr) return {};
  Kernel kernel = Parser(without_comments(*module), name, address_of).take();
  kernel.target = target_of(*module);
  return kernel;
}

std::optional<Global> parse_global(const std::vector<std::string>& modules, const std::string& name,
                                   unsigned capability) {
  const std::string* const module = newest(modules, name, capability);
  return module == nullptr ? std::nullopt : find_global(without_comments(*module), name);
}

}  // namespace sp2dpo::ptx
