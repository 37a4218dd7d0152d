// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "named_files.hpp"
#include "panel/panel.hpp"

namespace sp2dpo::tool {

/// Counts the outcomes of a panel's questions by judge and prompt.
class PanelTable {
 public:
  explicit PanelTable(const PanelRun& panel) : panel_(panel) {}

  /// Counts one outcome. All questions about a pair must come before those about the next.
  void count(const annotate::PanelOutcome& read);
  void print() const;

  [[nodiscard]] std::int64_t annotations() const noexcept { return annotations_; }
  [[nodiscard]] std::int64_t failures() const noexcept { return failures_; }
  [[nodiscard]] std::int64_t unanswered() const noexcept { return unanswered_; }

 private:
  /// A share of the cases to which it applies.
  struct Share {
    std::int64_t yes = 0;
    std::int64_t of = 0;
  };
  struct Row {
    std::int64_t parsed = 0;
    std::map<std::string, std::int64_t> failed{};
    Share first{};   // preferred the response shown first
    Share longer{};  // preferred the longer response
    Share agreed{};  // preferred the same response in both orders
    std::int64_t replies = 0;
    std::int64_t without_usage = 0;
    double seconds = 0;
    double cost = 0;
  };

  const PanelRun& panel_;
  std::map<std::pair<std::string, std::string>, Row> rows_;  // by judge and prompt
  std::string pair_;                                         // the pair being counted
  std::map<std::tuple<std::string, std::string, int>, Preferred> of_pair_;
  std::int64_t annotations_ = 0;
  std::int64_t failures_ = 0;
  std::int64_t unanswered_ = 0;
  std::int64_t unstated_ = 0;
};

/// Writes one line of JSON for each question without an annotation.
class FailureWriter {
 public:
  explicit FailureWriter(const std::string& path) : file_(checked_output(path)) {}
  void write(const annotate::PanelOutcome& read);
  void finish() { file_.commit(); }

 private:
  io::OutputFile file_;
};

}  // namespace sp2dpo::tool
