// SPDX-License-Identifier: Apache-2.0
#include "panel/panel_table.hpp"

#include <algorithm>
#include <tuple>
#include <variant>

#include "text/json_writer.hpp"
#include <fmt/format.h>

namespace sp2dpo::tool {

namespace {

std::string percent(std::int64_t yes, std::int64_t of) {
  if (of == 0) return "-";
  return fmt::format("{:.1f} %", 100 * static_cast<double>(yes) / static_cast<double>(of));
}

}  // namespace

void PanelTable::count(const annotate::PanelOutcome& read) {
  if (pair_ != read.pair.id) {
    of_pair_.clear();
    pair_ = read.pair.id;
  }
  const auto& member = panel_.members[read.member];
  Row& row = rows_[{member.judge->name, member.prompt->name()}];
  row.cost += read.cost;
  for (const auto& reply : read.replies) {
    ++row.replies;
    row.seconds += reply.seconds;
    if (!reply.usage) ++row.without_usage;
  }
  if (!read.answered) ++unanswered_;
  unstated_ += read.unstated;
  if (const auto* failure = std::get_if<AnnotationFailure>(&read.outcome)) {
    ++failures_;
    ++row.failed[std::string(name(failure->kind))];
    return;
  }
  const auto* annotation = std::get_if<Annotation>(&read.outcome);
  ++annotations_;
  ++row.parsed;
  if (!annotation->order) return;  // an informed judge states no preference of its own
  if (annotation->preferred != Preferred::tie) {
    const bool chosen = annotation->preferred == Preferred::chosen;
    ++row.first.of;
    if (chosen == (*annotation->order == Order::chosen_first)) ++row.first.yes;
    const double longer = length_difference(read.pair);
    if (longer != 0) {
      ++row.longer.of;
      if (chosen == (longer > 0)) ++row.longer.yes;
    }
  }
  const auto [other, alone] = of_pair_.try_emplace(
      {annotation->annotator, annotation->prompt, annotation->sample}, annotation->preferred);
  if (alone) return;
  ++row.agreed.of;
  if (other->second == annotation->preferred) ++row.agreed.yes;
}

void PanelTable::print() const {
  std::size_t judge = 7;
  std::size_t prompt = 6;
  for (const auto& [name, row] : rows_) {
    judge = std::max(judge, name.first.size());
    prompt = std::max(prompt, name.second.size());
  }
  fmt::print("\n  {:{}}  {:{}}  {:>8}  {:>8}  {:>9}  {:>9}  {:>9}  {:>9}  failed\n", "teacher",
             judge, "prompt", prompt, "parsed", "P(first)", "P(longer)", "same both", "cost/1000",
             "s/1000");
  for (const auto& [name, row] : rows_) {
    const double thousands = static_cast<double>(row.replies) / 1000;
    std::string failed;
    for (const auto& [kind, count] : row.failed)
      failed += fmt::format("{}{} {}", failed.empty() ? "" : ", ", kind, count);
    fmt::print("  {:{}}  {:{}}  {:>8}  {:>8}  {:>9}  {:>9}  {:>9}  {:>9}  {}\n", name.first, judge,
               name.second, prompt, row.parsed, percent(row.first.yes, row.first.of),
               percent(row.longer.yes, row.longer.of), percent(row.agreed.yes, row.agreed.of),
               row.replies == 0 ? "-" : fmt::format("{:.4g}", row.cost / thousands),
               row.replies == 0 ? "-" : fmt::format("{:.4g}", row.seconds / thousands),
               failed.empty() ? "-" : failed);
  }
  std::int64_t without_usage = 0;
  for (const auto& [name, row] : rows_) without_usage += row.without_usage;
  if (without_usage > 0)
    fmt::print(
        "  replies without plausible usage: {}; they count with the most that they can cost\n",
        without_usage);
  if (unstated_ > 0)
    fmt::print("  {} replies state no finish_reason and count as complete\n", unstated_);
}

void FailureWriter::write(const annotate::PanelOutcome& read) {
  const auto& failure = std::get<AnnotationFailure>(read.outcome);
  const annotate::Question& question = read.question;
  std::string line;
  text::JsonWriter json(line);
  json.open('{');
  json.key("annotator").text(question.judge->name);
  json.key("class").text(name(failure.kind));
  json.key("detail").text(failure.detail);
  if (question.order) json.key("order").text(name(*question.order));
  json.key("pair_id").text(read.pair.id);
  json.key("prompt").text(question.prompt->name());
  json.key("request").text(read.key);
  json.key("sample").integer(question.sample);
  json.close('}');
  file_.write(line + '\n');
}

}  // namespace sp2dpo::tool
