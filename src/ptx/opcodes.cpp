// SPDX-License-Identifier: Apache-2.0
#include "opcodes.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <ranges>
#include <set>

#include "operations.hpp"
#include "statements.hpp"

namespace sp2dpo::ptx {
namespace {

constexpr std::string_view memory_types[] = {"b8",  "u8",  "s8",  "b16", "u16", "s16", "b32",
                                             "u32", "s32", "f32", "b64", "u64", "s64", "f64"};

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
    // Without effect: only barriers order accesses here.
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
  return std::ranges::find(words, word) != std::ranges::end(words);
}

/// Atomic operations that compute the same as the plain opcode of this name.
constexpr std::string_view plain_atomics[] = {"add", "min", "max", "and", "or", "xor"};

constexpr std::string_view spaces[] = {"global",      "const",           "shared",
                                       "shared::cta", "shared::cluster", "local",
                                       "param",       "param::entry",    "param::func"};
/// Accepted and ignored.
constexpr std::string_view memory_qualifiers[] = {"weak",
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

Space space_of(std::string_view word) {
  if (word == "global" || word == "const") return Space::global;
  if (word == "local") return Space::local;
  return word.starts_with("shared") ? Space::shared : Space::parameter;
}

template <class Value>
std::optional<Value> found(const std::map<std::string, Value, std::less<>>& table,
                           std::string_view opcode) {
  const auto at = table.find(opcode);
  return at == table.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace

void refuse_opcode(std::string_view opcode) {
  refuse("unknown opcode " + std::string(opcode),
         "src/ptx/README.md lists those that are supported");
}

std::optional<Kind> find_control(std::string_view opcode) {
  return found(control_opcodes(), opcode);
}

std::optional<Exchange> find_exchange(std::string_view opcode) {
  return found(warp_opcodes(), opcode);
}

Operation atomic_operation(const std::string& what) {
  const bool is_plain = holds(plain_atomics, what.substr(0, what.find('.')));
  return find_operation(is_plain ? what : "atom." + what);
}

MemoryOpcode::MemoryOpcode(const std::string& opcode) {
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

std::string opcode_list() {
  std::string list;
  const auto add_line = [&list](const std::string& name, const auto& words) {
    std::string line = name + ':';
    for (const auto& word : words) {
      if (line.size() + 2 + word.size() > 100) {
        list += line + '\n';
        line = "   ";
      }
      line += " ." + std::string(word);
    }
    list += line + '\n';
  };
  list += "ld ldu st, [.space] [.qualifier ...] [.v2 | .v4, .v8 of 32 bits] .type\n";
  list +=
      "atom red, [.space] [.qualifier ...] as in the family atom, or a type of the family "
      "itself "
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

}  // namespace sp2dpo::ptx
