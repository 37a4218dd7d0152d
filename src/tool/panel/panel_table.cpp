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

void PanelTable::count(const annotate::PanelAnswer& read) {
  if (pair_ != read.pair.id) {
    of_pair_.clear();
    pair_ = read.pair.id;
  }
  const auto& member = panel_.members[read.member];
  Row& row = rows_[{member.id.annotator, member.id.prompt}];
  for (const auto& raw : read.raw) {
    ++row.answers;
    row.seconds += raw.seconds;
    if (raw.usage && member.price)
      row.cost += (member.price->prompt * static_cast<double>(raw.usage->prompt_tokens) +
                   member.price->completion * static_cast<double>(raw.usage->completion_tokens)) /
                  1e6;
  }
  if (read.raw.empty()) ++unanswered_;
  const auto* annotation = std::get_if<Annotation>(&read.answer.outcome);
  if (annotation == nullptr) {
    ++failures_;
    ++row.failed[read.answer.failure_class];
    return;
  }
  ++annotations_;
  ++row.parsed;
  if (!annotation->order) return;  // told the winner: it preferred nothing of its own
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
  std::size_t teacher = 7;
  std::size_t prompt = 6;
  for (const auto& [name, row] : rows_) {
    teacher = std::max(teacher, name.first.size());
    prompt = std::max(prompt, name.second.size());
  }
  fmt::print("\n  {:{}}  {:{}}  {:>8}  {:>8}  {:>9}  {:>9}  {:>9}  {:>9}  failed\n", "teacher",
             teacher, "prompt", prompt, "parsed", "P(first)", "P(longer)", "same both", "cost/1000",
             "s/1000");
  for (const auto& [name, row] : rows_) {
    const double thousands = static_cast<double>(row.answers) / 1000;
    std::string failed;
    for (const auto& [kind, count] : row.failed)
      failed += fmt::format("{}{} {}", failed.empty() ? "" : ", ", kind, count);
    fmt::print("  {:{}}  {:{}}  {:>8}  {:>8}  {:>9}  {:>9}  {:>9}  {:>9}  {}\n", name.first,
               teacher, name.second, prompt, row.parsed, percent(row.first.yes, row.first.of),
               percent(row.longer.yes, row.longer.of), percent(row.agreed.yes, row.agreed.of),
               row.answers == 0 ? "-" : fmt::format("{:.4g}", row.cost / thousands),
               row.answers == 0 ? "-" : fmt::format("{:.4g}", row.seconds / thousands),
               failed.empty() ? "-" : failed);
  }
}

void FailureWriter::write(const PanelRun& panel, const annotate::PanelAnswer& read) {
  const auto& member = panel.members[read.member];
  const auto& failure = std::get<AnnotationFailure>(read.answer.outcome);
  const auto& order = read.question.order;
  std::string line;
  text::JsonWriter json(line);
  json.open('{');
  json.key("annotator").text(member.id.annotator);
  json.key("class").text(read.answer.failure_class);
  json.key("detail").text(failure.detail);
  if (order) json.key("order").text(name(*order));
  json.key("pair_id").text(read.pair.id);
  json.key("prompt").text(member.id.prompt);
  json.key("request").text(read.question.request.key);
  json.key("sample").integer(member.sample);
  json.close('}');
  line += '\n';
  file_.write(line);
}

}  // namespace sp2dpo::tool
