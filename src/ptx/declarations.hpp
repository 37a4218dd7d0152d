// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel.hpp"

/// What a module of PTX declares outside of its functions' bodies.
namespace sp2dpo::ptx {

struct Variable {
  std::string name;
  std::uint32_t bytes, alignment;
};

/// Of `.shared .align 8 .b8 name[24]`, or `.param .u64 .ptr .global .align 4 name`.
Variable parse_variable(const std::string& text);

std::uint32_t aligned(std::uint32_t offset, std::uint32_t alignment);

/// Of `.weak .global .align 8 .b8 name[16] = {1, 2}`; what is not given is zero.
std::optional<Global> find_global(std::string_view module, const std::string& name);

/// Shared memory that is declared outside of kernels, by name.
std::map<std::string, Variable> shared_variables(std::string_view module);

/// Of `.file 1 "folder/row.cu"` the last part, by number.
std::map<std::string, std::string> source_files(std::string_view module);

/// A function with a body: `.func (results) name (parameters)`, either list only where it has
/// something.
struct FunctionText {
  std::string_view results, parameters;
  std::size_t body = 0;  ///< where its brace is in the module
};
std::map<std::string, FunctionText> functions(std::string_view module);

/// 90 for sm_90.
unsigned target_of(std::string_view module);

/// Of those that have `text` and that a device of `capability` can run.
const std::string* newest(const std::vector<std::string>& modules, const std::string& text,
                          unsigned capability);

}  // namespace sp2dpo::ptx
