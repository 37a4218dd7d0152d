// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "panel/panel.hpp"

#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::tool {

/// What became of a panel's questions, by teacher and prompt.
class PanelTable {
 public:
  explicit PanelTable(const PanelRun& panel) : panel_(panel) {}

  /// To be called for all questions about a pair before those about the next.
  void count(const annotate::PanelAnswer& read);
  void print() const;

  [[nodiscard]] std::int64_t annotations() const noexcept { return annotations_; }
  [[nodiscard]] std::int64_t failures() const noexcept { return failures_; }
  [[nodiscard]] std::int64_t unanswered() const noexcept { return unanswered_; }

 private:
  /// A share, as of those for which the question makes sense.
  struct Share {
    std::int64_t yes = 0;
    std::int64_t of = 0;
  };
  struct Row {
    std::int64_t parsed = 0;
    std::map<std::string, std::int64_t> failed{};
    Share first{};   // preferred the answer that was shown first
    Share longer{};  // preferred the longer answer
    Share agreed{};  // preferred the same answer in either order
    std::int64_t answers = 0;
    double seconds = 0;
    double cost = 0;
  };

  const PanelRun& panel_;
  std::map<std::pair<std::string, std::string>, Row> rows_;  // by teacher and prompt
  std::string pair_;                                         // the one that is being counted
  std::map<std::tuple<std::string, std::string, int>, Preferred> of_pair_;
  std::int64_t annotations_ = 0;
  std::int64_t failures_ = 0;
  std::int64_t unanswered_ = 0;
};

/// One line of JSON for each question without an annotation.
class FailureWriter {
 public:
  explicit FailureWriter(std::filesystem::path path) : file_(std::move(path)) {}
  void write(const PanelRun& panel, const annotate::PanelAnswer& read);
  void finish() { file_.commit(); }

 private:
  io::OutputFile file_;
};

}  // namespace sp2dpo::tool
