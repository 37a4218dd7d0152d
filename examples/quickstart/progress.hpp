// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace quickstart {

/// Shows progress on standard error: a bar on a terminal, otherwise one line per tenth. Several
/// threads may call advance() at once.
class Progress {
 public:
  Progress(std::string what, std::int64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  ///< ends the line of the bar

  void advance(const std::string& note = {});

 private:
  void show() const;

  std::mutex mutex_;
  std::string what_;
  std::string note_;
  std::int64_t total_;
  std::int64_t done_ = 0;
  bool terminal_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace quickstart
