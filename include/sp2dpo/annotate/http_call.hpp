// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace sp2dpo::annotate {

/// A call other than a chat completion: to a server's files and batches.
struct HttpCall {
  std::string method;  ///< GET, POST or DELETE
  std::string path;    ///< after the base URL: `/batches/batch_1`
  std::string body{};  ///< JSON of a POST
  /// If set, the POST is a form with this file as its field `file`, and `fields`.
  std::filesystem::path file{};
  std::map<std::string, std::string> fields{};
  /// If set, a GET saves the reply's body to this file, atomically and without a limit on its size,
  /// instead of returning it. The endpoint's key is redacted line by line.
  std::filesystem::path save_to{};
  /// Called often; once it returns true, a GET and the waits between attempts end.
  std::function<bool()> interrupted{};
};

}  // namespace sp2dpo::annotate
