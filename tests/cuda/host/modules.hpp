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

  /// Null where none of the function's code runs on the device.
  Kernel* find(const void* function, unsigned capability);

  std::map<const void*, std::size_t> most_dynamic_shared;  ///< by function, as it was set

 private:
  struct Function {
    Handle module;
    std::string kernel;
  };
  std::vector<std::unique_ptr<Module>> modules_;
  std::map<const void*, Function> functions_;
  std::map<std::pair<const void*, unsigned>, Kernel> kernels_;
};

/// The process's, made at first use: registration runs in static constructors.
Modules& modules();

}  // namespace sp2dpo::ptx
