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

/// What programs register at their start: the PTX that nvcc put into them, and which function of
/// the host stands for which kernel.
class Modules {
 public:
  /// `fatbinary` is nvcc's structure; its PTX must not be compressed.
  struct Module {
    const void* fatbinary;
    std::optional<std::vector<std::string>> texts;
  };
  using Handle = Module*;
  Handle add(const void* fatbinary);
  void add_function(Handle module, const void* function, std::string kernel);

  void add_variable(Handle module, const void* shadow, std::string name);

  /// Null where none of the function's code runs on the device.
  Kernel* find(const void* function, unsigned capability);

  /// The address of the variable that the host's `shadow` stands for; 0 where there is none.
  std::uint64_t find_variable(const void* shadow, unsigned capability);
  /// The kernels that are registered, for whoever wants to see all of them understood.
  [[nodiscard]] std::vector<const void*> functions() const;

  std::map<const void*, std::size_t> max_dynamic_shared;  ///< by function, as it was set

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

/// The process's, made at first use: registration runs in static constructors.
Modules& modules();

}  // namespace sp2dpo::ptx
