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

/// The declarations of a PTX module outside of function bodies.
namespace sp2dpo::ptx {

struct Variable {
  std::string name;
  std::uint32_t bytes, alignment;
};

/// Parses `.shared .align 8 .b8 name[24]` or `.param .u64 .ptr .global .align 4 name`.
Variable parse_variable(const std::string& text);

/// Rounds the offset up to a multiple of the alignment.
std::uint32_t aligned(std::uint32_t offset, std::uint32_t alignment);

/// Finds `.weak .global .align 8 .b8 name[16] = {1, 2}`. Elements without a value are zero.
std::optional<Global> find_global(std::string_view module, const std::string& name);

/// Shared variables that are declared outside of kernels, by name.
std::map<std::string, Variable> shared_variables(std::string_view module);

/// The names of source files by number: `.file 1 "folder/row.cu"` gives row.cu.
std::map<std::string, std::string> source_files(std::string_view module);

/// A function with a body: `.func (results) name (parameters)`, where either list may be missing.
struct FunctionText {
  std::string_view results, parameters;
  std::size_t body = 0;  ///< position of its opening brace in the module
};
std::map<std::string, FunctionText> functions(std::string_view module);

/// The compute capability that the module is compiled for: 90 for sm_90.
unsigned target_of(std::string_view module);

/// Returns the newest of the modules that contain `text` and that a device of `capability` can run.
/// Null if no module qualifies.
const std::string* newest(const std::vector<std::string>& modules, const std::string& text,
                          unsigned capability);

}  // namespace sp2dpo::ptx
