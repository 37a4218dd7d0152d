// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
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

std::uint32_t lines_in(std::string_view text) {
  return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
}

bool is_location(std::string_view text) {
  return text.starts_with(".loc ") || text.starts_with(".loc\t");
}

/// Calls f with each statement of a body, up to the brace that closes it, and its line, the body's
/// first being `line`. Labels are statements that end in a colon; the braces of scopes are left
/// out, since names are declared again where they are used twice.
template <class F>
void for_each_statement(std::string_view body, std::uint32_t line, const F& f) {
  std::string current;
  std::uint32_t first_line = line;
  int scopes = 0;
  int vectors = 0;
  bool is_blank = true;
  const auto finish = [&] {
    if (auto text = trimmed(std::exchange(current, {})); !text.empty()) f(text, first_line);
    is_blank = true;
  };
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (is_blank && blanks.find(c) == std::string_view::npos) first_line = line;
    if (is_blank && is_location(body.substr(i))) {  // has no semicolon
      const auto end = std::min(body.find('\n', i), body.size());
      f(std::string(body.substr(i, end - i)), line++);
      i = end;
    } else if (c == '{' && is_blank) {
      ++scopes;
    } else if (c == '}' && vectors == 0) {
      if (scopes-- == 0) break;
    } else if (c == ';') {
      finish();
    } else if (c == ':' && !is_blank && body.substr(i, 2) != "::" && current.back() != ':' &&
               trimmed(current).find_first_of(blanks) == std::string::npos) {
      current += c;
      finish();
    } else {
      vectors += (c == '{') - (c == '}');
      current += c;
      is_blank = is_blank && blanks.find(c) != std::string_view::npos;
      line += c == '\n';
    }
  }
}

constexpr std::array<std::string_view, 14> memory_types{
    "b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"};

std::uint32_t bytes_of(std::string_view type) {
  if (type.starts_with('.')) type.remove_prefix(1);
  if (type == "pred") return 1;
  unsigned bits = 0;
  if (std::string_view("busf").find(type.substr(0, 1)) != std::string_view::npos)
    std::from_chars(type.data() + 1, type.data() + type.size(), bits);
  if (bits % 8 != 0 || bits == 0) refuse("a type of unknown size", type);
  return bits / 8;
}

struct Variable {
  std::string name;
  std::uint32_t bytes, alignment;
};

/// Of `.shared .align 8 .b8 name[24]`, or `.param .u64 .ptr .global .align 4 name`.
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

[[noreturn]] void refuse_opcode(std::string_view opcode) {
  refuse("an unknown opcode, " + std::string(opcode), "src/ptx/README.md lists the known");
}

const std::map<std::string, Kind, std::less<>>& control_opcodes() {
  static const auto all = [] {
    std::map<std::string, Kind, std::less<>> kinds{
        {"bra", Kind::branch},    {"bra.uni", Kind::branch}, {"call", Kind::call},
        {"call.uni", Kind::call}, {"ret", Kind::leave},      {"ret.uni", Kind::leave},
        {"exit", Kind::exit},     {"trap", Kind::trap},      {"bar.sync", Kind::barrier}};
    for (const char* opcode : {"bar.cta.sync", "barrier.sync", "barrier.sync.aligned",
                               "barrier.cta.sync", "barrier.cta.sync.aligned"})
      kinds[opcode] = Kind::barrier;
    for (const char* aligned : {"", ".aligned"}) {
      for (const char* order : {"", ".release"})
        kinds[std::string("barrier.cluster.arrive") + order + aligned] = Kind::cluster_arrive;
      for (const char* order : {"", ".acquire"})
        kinds[std::string("barrier.cluster.wait") + order + aligned] = Kind::cluster_wait;
    }
    // Of these nothing is kept, the order of accesses least of all: only barriers make one.
    for (const char* opcode :
         {"membar.cta", "membar.gl", "membar.sys", "prefetch.global.L1", "prefetch.global.L2",
          "prefetchu.L1", "griddepcontrol.wait", "griddepcontrol.launch_dependents"})
      kinds[opcode] = Kind::nothing;
    for (const char* order : {"sc", "acq_rel"})
      for (const char* scope : {"cta", "cluster", "gpu", "sys"})
        kinds[std::string("fence.") + order + '.' + scope] = Kind::nothing;
    return kinds;
  }();
  return all;
}

const std::map<std::string, Exchange, std::less<>>& warp_opcodes() {
  static const auto all = [] {
    std::map<std::string, Exchange, std::less<>> exchanges{
        {"bar.warp.sync", Exchange::barrier},
        {"shfl.sync.up.b32", Exchange::shuffle_up},
        {"shfl.sync.down.b32", Exchange::shuffle_down},
        {"shfl.sync.bfly.b32", Exchange::shuffle_xor},
        {"shfl.sync.idx.b32", Exchange::shuffle_index},
        {"vote.sync.ballot.b32", Exchange::ballot},
        {"vote.sync.all.pred", Exchange::all},
        {"vote.sync.any.pred", Exchange::any}};
    for (const char* type : {"u32", "s32"})
      for (const char* what : {"add", "min", "max"})
        exchanges[std::string("redux.sync.") + what + '.' + type] = Exchange::reduce;
    for (const char* what : {"and", "or", "xor"})
      exchanges[std::string("redux.sync.") + what + ".b32"] = Exchange::reduce;
    return exchanges;
  }();
  return all;
}

template <class Range>
bool holds(const Range& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Atomic operations that are the same as the opcode of this name.
constexpr std::array<std::string_view, 6> plain_atomics{"add", "min", "max", "and", "or", "xor"};

/// `what` is "add.u32", or an operation that only atomics have.
Operation atomic_operation(const std::string& what) {
  const bool is_plain = holds(plain_atomics, what.substr(0, what.find('.')));
  return find_operation(is_plain ? what : "atom." + what);
}

constexpr std::array<std::string_view, 9> spaces{"global",      "const",           "shared",
                                                 "shared::cta", "shared::cluster", "local",
                                                 "param",       "param::entry",    "param::func"};
/// None of them changes what is done here.
constexpr std::array<std::string_view, 25> memory_qualifiers{"weak",
                                                             "volatile",
                                                             "relaxed",
                                                             "acquire",
                                                             "release",
                                                             "acq_rel",
                                                             "cta",
                                                             "cluster",
                                                             "gpu",
                                                             "sys",
                                                             "nc",
                                                             "ca",
                                                             "cg",
                                                             "cs",
                                                             "lu",
                                                             "cv",
                                                             "wb",
                                                             "wt",
                                                             "L1::evict_first",
                                                             "L1::evict_last",
                                                             "L1::evict_normal",
                                                             "L1::evict_unchanged",
                                                             "L1::no_allocate",
                                                             "L2::128B",
                                                             "L2::256B"};

/// `ld.global.nc.v4.b32`, `st.shared.f32`, `atom.relaxed.gpu.add.u32`
struct MemoryOpcode {
  Space space = Space::generic;
  std::uint8_t bytes = 0, count = 1;
  bool is_signed = false;
  std::string operation;  ///< of an atomic

  explicit MemoryOpcode(const std::string& opcode) {
    const Words words = split(opcode, '.');
    const bool is_atomic = words[0] == "atom" || words[0] == "red";
    const std::string& type = words.back();
    if (words.size() < 2 || !holds(memory_types, type)) refuse_opcode(opcode);
    bytes = static_cast<std::uint8_t>(bytes_of(type));
    is_signed = type[0] == 's';
    for (std::size_t i = 1; i + 1 < words.size(); ++i) {
      const std::string& word = words[i];
      if (holds(spaces, word))
        space = space_of(word);
      else if (!is_atomic && (word == "v2" || word == "v4" || (word == "v8" && bytes == 4)))
        count = static_cast<std::uint8_t>(word[1] - '0');
      else if (is_atomic && i + 2 == words.size())
        operation = word + '.' + type;
      else if (!holds(memory_qualifiers, word))
        refuse_opcode(opcode);
    }
  }

  static Space space_of(std::string_view word) {
    if (word == "global" || word == "const") return Space::global;
    if (word == "local") return Space::local;
    return word.starts_with("shared") ? Space::shared : Space::parameter;
  }
};

/// An integer, or the bits of a float after 0f or 0d.
std::uint64_t number(const std::string& text) {
  if (text.starts_with("0f") || text.starts_with("0d"))
    return std::stoull(text.substr(2), nullptr, 16);
  if (!text.empty() && text[0] == '-')
    return static_cast<std::uint64_t>(std::stoll(text, nullptr, 0));
  if (text.empty() || !std::isdigit(text[0])) refuse("a number that is not understood", text);
  return std::stoull(text, nullptr, 0);
}

/// Of `.weak .global .align 8 .b8 name[16] = {1, 2}`; what is not given is zero.
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

/// What a function takes or gives back, in slots of its own or of who calls it.
struct Passed {
  Slot slot = no_slot;
  std::uint32_t bytes = 0;
};

/// A function that is called, as the module has it, and what became of it here.
struct Function {
  std::string_view results, parameters;
  std::size_t body = 0;
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
  void read_shared();
  void read_files();
  void read_functions();
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
  std::map<std::string, std::uint64_t> symbols_;  ///< addresses, or a parameter's offset
  std::map<std::string, Variable> shared_;        ///< of the module; room is made at the first use
  std::map<std::string, Slot> dynamic_shared_;
  std::map<std::string, std::string> files_;  ///< by number
  std::map<std::string, Function> functions_;
  std::vector<Function*> called_;                  ///< in the order of their code
  std::vector<Function*> callees_;                 ///< of the kernel's calls
  std::map<std::string, std::string> inlined_at_;  ///< positions, where they were last said
  std::map<std::string, std::uint32_t> places_;

  // Of the body that is read.
  Function* function_ = nullptr;  ///< null for the kernel's
  std::map<std::string, Slot> registers_;
  std::map<std::string, Passed> passed_;
  std::map<std::string, std::size_t> labels_;
  std::vector<std::pair<std::size_t, std::string>> jumps_;
  std::uint32_t where_ = 0;
};

Parser::Parser(std::string_view module, const std::string& name, const GlobalAddress& address_of)
    : module_(module), address_of_(address_of) {
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
    for (kernel_.most_threads = 1; const auto& extent : split(limits.substr(at + 8), ','))
      kernel_.most_threads *= static_cast<std::uint32_t>(std::stoul(extent));
  read_shared();
  read_files();
  read_functions();
  read_body(body);
  for (std::size_t i = 0; i < called_.size(); ++i) {  // which grows on the way
    function_ = called_[i];
    function_->entry = kernel_.code.size();
    function_->local_offset = kernel_.local_bytes = aligned(kernel_.local_bytes, 16);
    passed_ = std::move(function_->names);
    read_body(function_->body);
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

/// Shared memory that is declared outside of kernels.
void Parser::read_shared() {
  for (std::size_t at = 0; (at = module_.find(".shared .align", at)) != std::string_view::npos;) {
    const auto end = module_.find(';', at);
    const Variable variable = parse_variable(std::string(module_.substr(at, end - at)));
    shared_.try_emplace(variable.name, variable);
    at = end;
  }
}

/// Of `.file 1 "folder/row.cu"` the last part.
void Parser::read_files() {
  for (std::size_t at = 0; (at = module_.find(".file", at)) != std::string_view::npos; at += 5) {
    const std::string line(module_.substr(at + 5, module_.find('\n', at) - at - 5));
    const auto open = line.find('"'), close = line.rfind('"');
    if (open == close) continue;
    const std::string path = line.substr(open + 1, close - open - 1);
    files_[trimmed(line.substr(0, open))] = path.substr(path.rfind('/') + 1);
  }
}

/// Those with a body: `.func (results) name (parameters)`, either list only where it has something.
void Parser::read_functions() {
  for (std::size_t at = 0; (at = module_.find(".func", at)) != std::string_view::npos;) {
    at += 5;
    const auto body = module_.find_first_of("{;", at);
    if (body == std::string_view::npos || module_[body] == ';') continue;
    std::string_view rest = module_.substr(at, body - at);
    const auto take_list = [&rest]() -> std::string_view {
      rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
      if (!rest.starts_with('(')) return {};
      const auto list = rest.substr(1, rest.find(')') - 1);
      rest.remove_prefix(list.size() + 2);
      return list;
    };
    Function function;
    function.body = body;
    function.results = take_list();
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    const std::string name(rest.substr(0, rest.find_first_of("( \t\r\n")));
    rest.remove_prefix(name.size());
    function.parameters = take_list();
    functions_.try_emplace(name, std::move(function));
  }
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
    if (found == labels_.end()) refuse("no such label", label);
    kernel_.code[at].jump = found->second;
  }
}

/// Of `.loc 2 61 5, function_name $L__info_string7, inlined_at 1 28 3`. Where that is inlined was
/// said just before.
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
    if (found->second.bytes == 0) {  // its size is the launch's
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
  if (passed_.contains(text)) refuse("the address of a function's parameter", text);
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
  } else if (text.starts_with(".param")) {
    const Variable variable = parse_variable(text);
    Passed& passed = passed_[variable.name];
    // Calls follow one another, under the same names.
    if ((passed.bytes + 7) / 8 < (variable.bytes + 7) / 8) passed = pass(variable.bytes);
    passed.bytes = variable.bytes;
  } else if (is_location(text)) {
    read_location(text);
  } else if (!text.starts_with(".shared") && !text.starts_with(".pragma")) {
    refuse("an unknown directive", text);
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
  } else if (warp_opcodes().contains(opcode)) {
    read_warp(in, opcode, operands);
  } else if (const auto found = control_opcodes().find(opcode); found != control_opcodes().end()) {
    in.kind = found->second;
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
    refuse("out of bounds of " + text, in.text);
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
  if (list.size() != what.count) refuse("a vector of another length", in.text);
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
  // What it leaves in memory, target[0], comes of what it finds there, source[0], and its operands;
  // the address is source[4].
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
  if (opcode.size() != 2 || parts.size() > 4) refuse("an unknown instruction", in.text);
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

/// The mask is source[3].
void Parser::read_warp(Instruction& in, const std::string& opcode, const Words& operands) {
  in.kind = Kind::warp;
  in.exchange = warp_opcodes().at(opcode);
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
    refuse("only barrier 0 is known", in.text);
  if (in.kind == Kind::call) read_call(in, operands);
}

/// `call (result), name, (arguments)`, both lists only where there is something.
void Parser::read_call(Instruction& in, const Words& operands) {
  const auto names = [](const std::string& list) {
    return split(std::string_view(list).substr(1, list.size() - 2), ',');
  };
  const std::size_t at = operands.at(0)[0] == '(' ? 1 : 0;
  const Words results = at == 1 ? names(operands[0]) : Words{};
  const Words arguments = at + 1 < operands.size() ? names(operands[at + 1]) : Words{};
  const auto found = functions_.find(operands.at(at));
  if (found == functions_.end())
    refuse("a call of a function whose code the module does not have, or by a pointer", in.text);
  Function& function = found->second;
  if (!std::exchange(function.is_called, true)) {
    called_.push_back(&function);
    const auto declare = [&](std::string_view list, std::vector<Passed>& all) {
      for (const auto& text : split(list, ',')) {
        const Variable variable = parse_variable(text);
        all.push_back(function.names[variable.name] = pass(variable.bytes));
      }
    };
    declare(function.parameters, function.in);
    declare(function.results, function.out);
  }
  Call call;
  call.function = found->first;
  if (arguments.size() != function.in.size() || results.size() != function.out.size())
    refuse("a call with other arguments", in.text);
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
  // Rounding to nearest is what these do.
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

unsigned target_of(std::string_view module) {
  const auto at = module.find(".target sm_");
  unsigned target = 0;
  if (at != std::string_view::npos)
    std::from_chars(module.data() + at + 11, module.data() + module.size(), target);
  return target;
}

/// Of those that have `text` and that a device of `capability` can run.
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

}  // namespace

std::string opcode_list() {
  std::string list;
  const auto add_line = [&list](const std::string& name, const auto& words) {
    std::string line = name + ':';
    for (const auto& word : words) {
      if (line.size() + 2 + word.size() > 150) {
        list += line + '\n';
        line = "   ";
      }
      line += " ." + std::string(word);
    }
    list += line + '\n';
  };
  list += "ld ldu st, [.space] [.qualifier ...] [.v2 | .v4, .v8 of 32 bits] .type\n";
  list +=
      "atom red, [.space] [.qualifier ...] as in the family atom, or a type of the family itself "
      "of";
  add_line("", plain_atomics);
  add_line("space", spaces);
  add_line("qualifier", memory_qualifiers);
  add_line("type", memory_types);

  std::map<std::string, std::set<std::string>> families;
  std::string alone;
  const auto add = [&](const std::string& opcode) {
    const auto dot = opcode.find('.');
    if (dot == std::string::npos)
      alone += ' ' + opcode;
    else
      families[opcode.substr(0, dot)].insert(opcode.substr(dot + 1));
  };
  for (const auto& opcode : operation_names()) add(opcode);
  for (const auto& [opcode, _] : control_opcodes()) add(opcode);
  for (const auto& [opcode, _] : warp_opcodes()) add(opcode);
  list += "alone:" + alone + '\n';
  for (const auto& [family, words] : families) add_line(family, words);
  return list;
}

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
