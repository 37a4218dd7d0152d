// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace sp2dpo {

/// Root of every exception that this library throws itself.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A precondition that the caller broke: sizes that differ, a beta that is not positive.
struct InvalidArgument : Error {
  using Error::Error;
};

/// A file or record that does not say what it must. The message is `file:line: field "name": …`,
/// without the parts that do not apply.
struct DataError : Error {
  DataError(std::string file_, std::int64_t line_, std::string field_, const std::string& message)
      : Error(text(file_, line_, field_, message)),
        file(std::move(file_)),
        line(line_),
        field(std::move(field_)) {}

  std::string file;
  std::int64_t line;  ///< counted from 1; 0 where the file as a whole is meant
  std::string field;  ///< empty where the record as a whole is meant

 private:
  // Appends only: g++ 12 warns falsely of an overflow where a text and a string&& are added.
  static std::string text(const std::string& file, std::int64_t line, const std::string& field,
                          const std::string& message) {
    std::string out = file;
    if (line > 0) out.append(":").append(std::to_string(line));
    out.append(": ");
    if (!field.empty()) out.append("field \"").append(field).append("\": ");
    return out.append(message);
  }
};

/// A CUDA call or launch that failed.
struct CudaError : Error {
  using Error::Error;
};

}  // namespace sp2dpo
