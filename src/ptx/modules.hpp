// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel.hpp"

namespace sp2dpo::ptx {

/// The registrations of a program at its start: the PTX that nvcc embedded, and the kernel or
/// variable that each host symbol stands for.
class Modules {
 public:
  /// `fatbinary` is nvcc's structure, whose PTX must be uncompressed. `texts` is read at first use.
  struct Module {
    const void* fatbinary;
    std::optional<std::vector<std::string>> texts;
  };
  using Handle = Module*;
  Handle add(const void* fatbinary);
  void add_function(Handle module, const void* function, std::string kernel);

  void add_variable(Handle module, const void* shadow, std::string name);

  /// Null if the device can run none of the function's code.
  Kernel* find(const void* function, unsigned capability);

  /// The address of the variable that the host's `shadow` stands for; 0 if it is unknown.
  std::uint64_t find_variable(const void* shadow, unsigned capability);
  /// All registered kernels, for a test that parses each.
  [[nodiscard]] std::vector<const void*> functions() const;

  std::map<const void*, std::size_t>
      max_dynamic_shared;  ///< by function, from cudaFuncSetAttribute

 private:
  struct Named {
    Handle module;
    std::string name;
  };
  static const std::vector<std::string>& texts_of(Module& module);
  std::uint64_t address_of(Handle module, const Global& global);

  std::vector<std::unique_ptr<Module>> modules_;
  std::map<const void*, Named> functions_, variables_;
  std::map<std::pair<Handle, std::string>, std::uint64_t> globals_;
  std::map<std::pair<const void*, unsigned>, Kernel> kernels_;
};

/// The process has one, created at first use, since static constructors register.
Modules& modules();

}  // namespace sp2dpo::ptx
