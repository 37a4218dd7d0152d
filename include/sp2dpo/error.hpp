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
      : Error(file_ + (line_ > 0 ? ":" + std::to_string(line_) : "") + ": " +
              (field_.empty() ? "" : "field \"" + field_ + "\": ") + message),
        file(std::move(file_)),
        line(line_),
        field(std::move(field_)) {}

  std::string file;
  std::int64_t line;  ///< counted from 1; 0 where the file as a whole is meant
  std::string field;  ///< empty where the record as a whole is meant
};

/// A CUDA call or launch that failed.
struct CudaError : Error {
  using Error::Error;
};

}  // namespace sp2dpo
