// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "command.hpp"
#include "input/annotations.hpp"
#include "output/files.hpp"
#include "text/printable.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {

namespace {

struct ExplainOptions {
  std::string schedule;
  std::string store;
  std::string annotations;
  std::string id;
  bool brief = false;
  CategoryOptions categories;
};

std::string parameters(const io::PartDescription& part) {
  std::string text = part.name;
  for (const auto& [name, value] : part.parameters)
    text += fmt::format(" {}={}", name, value.text());
  return text;
}

void print_entry(const io::ScheduleFile& file, const ScheduleEntry& entry,
                 const Categories& categories) {
  fmt::print("pair {}\n  beta {}\n", entry.id, entry.beta);
  if (entry.gap) {
    const auto& gap = *entry.gap;
    fmt::print("  gap {:.17g}, category {}, {} annotations by {} annotators, spread {:.17g}\n",
               gap.value, categories.name(gap.category), gap.n_annotations, gap.n_annotators,
               gap.spread);
  } else {
    fmt::print("  no gap\n");
  }
  if (!file.manifest) return;
  const auto& manifest = *file.manifest;
  fmt::print("  aggregator {}\n  mapper {}\n  made by {}\n", parameters(manifest.aggregator),
             parameters(manifest.mapper), manifest.program);
  for (const auto& input : manifest.inputs)
    fmt::print("  {} {}, SHA-256 {}\n", input.role, input.path, input.sha256);
}

std::vector<Annotation> annotations_of(const ExplainOptions& options,
                                       const Categories& categories) {
  std::vector<Annotation> found;
  std::error_code none;
  if (options.annotations.empty() || std::filesystem::file_size(options.annotations, none) == 0)
    return found;  // an empty file: no question has a usable reply
  read_annotations(options.annotations, {.categories = categories},
                   [&](const Annotation& annotation, io::AnnotationReader&) {
                     if (annotation.pair_id == options.id) found.push_back(annotation);
                   });
  return found;
}

void print_annotation(const annotate::StoredQuestion& question,
                      const std::vector<Annotation>& annotations, const Categories& categories) {
  // The key is a hash in meta.request and cannot occur by chance.
  for (const auto& a : annotations)
    if (a.annotator == question.annotator && a.prompt == question.prompt &&
        a.sample == question.sample && a.meta.find(question.key) != std::string::npos)
      fmt::print(
          "  annotation: category {}, magnitude {}, confidence {}, preferred {}, signed gap "
          "{:.17g}\n",
          categories.name(a.category), a.magnitude, a.confidence, name(a.preferred), signed_gap(a));
}

void print_question(const annotate::Store& store, const annotate::StoredQuestion& question,
                    bool brief) {
  const auto request = store.request(question.key);
  if (request) fmt::print("  model {} of {}\n", request->model, request->family);
  if (request && !brief) fmt::print("  asked: {}\n", text::printable(request->body));
  for (const auto& answer : store.replies(question.key)) {
    fmt::print("  reply {}: status {}, request id {}, {} attempts, {:.2f} s", answer.ask + 1,
               answer.http_status,
               answer.request_id.empty() ? "-" : text::one_line(answer.request_id), answer.attempts,
               answer.seconds);
    if (answer.usage)
      fmt::print(", {} tokens in, {} out", answer.usage->prompt_tokens,
                 answer.usage->completion_tokens);
    fmt::print("\n");
    if (!brief) fmt::print("    {}\n", text::printable(answer.body));
  }
  for (const auto& failure : store.failures(question.key))
    fmt::print("  no reply: {}, status {}: {}\n", name(failure.kind), failure.http_status,
               text::one_line(failure.detail));
}

void run(const ExplainOptions& options) {
  auto categories = options.categories.categories();
  const auto file = io::read_schedule(rows_of(options.schedule), categories);
  categories = file.schedule.categories();
  const auto* entry = file.schedule.find(options.id);
  if (entry == nullptr) throw Error(fmt::format("{} lacks pair {}", options.schedule, options.id));
  const annotate::Store store(options.store, annotate::Store::Access::read);
  const auto annotations = annotations_of(options, categories);
  print_entry(file, *entry, categories);
  const auto questions = store.questions(options.id);
  if (questions.empty()) fmt::print("\n{} holds no question about this pair\n", options.store);
  for (const auto& question : questions) {
    fmt::print("\n{}, prompt {}{}{}, sample {}\n  request {}\n", question.annotator,
               question.prompt, question.order ? ", " : "",
               question.order ? name(*question.order) : "", question.sample, question.key);
    print_annotation(question, annotations, categories);
    print_question(store, question, options.brief);
  }
}

}  // namespace

Run declare_explain(args::Command app) {
  const auto options = std::make_shared<ExplainOptions>();
  app.section("Input");
  app.option("-s,--schedule", &options->schedule, "Schedule, .jsonl, .jsonl.gz or .parquet")
      .file(args::FileUse::read)
      .required();
  app.option("--store", &options->store, "Store of the panel's replies")
      .file(args::FileUse::read)
      .required();
  app.option("-a,--annotations", &options->annotations,
             "Annotations of the schedule, to show next to the replies")
      .file(args::FileUse::read);
  app.option("ID", &options->id, "Id of the pair").required();
  app.section("Output");
  app.flag("--brief", &options->brief, "Omit the texts of requests and replies");
  options->categories.declare(app);
  app.footer(
      "Example:\n"
      "  sp2dpo explain --schedule schedule.jsonl --store run.db --annotations annotations.jsonl "
      "7");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
