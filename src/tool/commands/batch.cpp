// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "command.hpp"
#include "named_files.hpp"
#include "panel/panel.hpp"
#include "panel/panel_progress.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/batch.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::tool {

namespace {

struct BatchOptions {
  PanelOptions panel;  // of write
  std::string out;
  annotate::BatchLimits limits;

  std::string config;  // of submit and wait
  std::string judge;
  std::string store;
  std::vector<std::string> files;
  std::string folder;
  int every = 60;
  bool resend = false;
};

void write(const BatchOptions& options) {
  PanelRun panel(options.panel);
  const auto store = open_store(options.panel, panel);
  if (!options.panel.allow_unpriced) panel.require_prices();
  print_plan(panel, annotate::plan_panel(panel.pairs, panel.members, store.get()), true);
  const auto files =
      annotate::write_batch(panel.pairs, panel.members, *store, options.out, options.limits);
  if (files.empty()) fmt::print("All questions have their reply: no file is written\n");
  for (const auto& file : files)
    fmt::print("{} is written: {} requests to {}\n", file.path.string(), file.lines, file.judge);
}

void report(const annotate::BatchResults& results) {
  fmt::print(
      "{} replies are new, {} known, {} different from the stored ones, {} failed, {} unknown, {} "
      "unreadable\n",
      results.replies, results.known, results.different, results.failed, results.unknown,
      results.unreadable);
  for (const auto& note : results.notes) fmt::print(stderr, "{}\n", note);
  for (const auto& note : results.foreign) fmt::print(stderr, "{}\n", note);
}

void read(const BatchOptions& options) {
  annotate::Store store(options.store);
  annotate::BatchResults all;
  for (const auto& file : options.files) all += annotate::read_batch(file, store);
  report(all);
  if (!all.foreign.empty())
    throw Error(fmt::format("{} of {} files hold no result for this store", all.foreign.size(),
                            options.files.size()));
}

const annotate::Judge& judge_named(const annotate::PanelConfig& config, const std::string& name) {
  const auto found = std::ranges::find(config.judges, name, &annotate::Judge::name);
  if (found == config.judges.end())
    throw UsageError(fmt::format("the panel has no judge \"{}\"", name));
  return *found;
}

void submit(const BatchOptions& options) {
  const auto config = annotate::read_panel_config(options.config);
  annotate::Endpoint endpoint(judge_named(config, options.judge).endpoint);
  annotate::Store store(options.store);
  for (const auto& file : options.files) {
    const auto did = annotate::submit_batch(file, options.judge, endpoint, store, options.resend);
    if (did.sent)
      fmt::print("{}: sent, {} requests{}{}\n", file, did.lines, did.note.empty() ? "" : "; ",
                 did.note);
    else
      fmt::print("{}: was sent before; not sent again: {}\n", file, did.note);
  }
}

/// What wait() knows of all batches.
struct Waiting {
  annotate::BatchResults results{};
  std::size_t failed = 0;
  std::set<std::string> gave_up{};             // in trouble: left for the next call
  std::map<std::string, int> unknown_polls{};  // with a state that is not listed
};

/// Asks for one batch. Returns true if it is to be asked for again.
bool poll(const annotate::StoredBatch& batch, annotate::Endpoint& endpoint, annotate::Store& store,
          const BatchOptions& options, Waiting& waiting) {
  using Kind = annotate::BatchStatus::Kind;
  annotate::BatchStatus status;
  try {
    status = annotate::collect_batch(batch, endpoint, store, options.folder,
                                     [] { return Interrupt::asked(); });
  } catch (const Error& error) {
    if (Interrupt::asked()) return true;
    // The others are still waited for.
    fmt::print(stderr, "{}\n", error.what());
    waiting.gave_up.insert(batch.id);
    return false;
  }
  waiting.results += status.results;
  if (status.state != batch.state || status.kind == Kind::failed) {
    fmt::print("{}: {}\n", batch.id, cut_to_width(status.state, 100));
    for (const auto& detail : status.details) fmt::print("  {}\n", cut_to_width(detail, 400));
  }
  switch (status.kind) {
    case Kind::running:
      return true;
    case Kind::completed:
      return false;
    case Kind::failed:
      if (status.results.foreign.empty()) {
        ++waiting.failed;
      } else {
        waiting.gave_up.insert(batch.id);
      }
      return false;
    case Kind::unknown:
      break;
  }
  constexpr int max_polls = 10;
  if (++waiting.unknown_polls[batch.id] < max_polls) return true;
  fmt::print(stderr, "{}: the state \"{}\" is not known here, and did not change in {} polls\n",
             batch.id, cut_to_width(status.state, 100), max_polls);
  waiting.gave_up.insert(batch.id);
  return false;
}

void wait(const BatchOptions& options) {
  named_files().reserve("--out (for its results)", options.folder, [](std::string_view name) {
    return name.ends_with(".output.jsonl") || name.ends_with(".errors.jsonl");
  });
  { const io::OutputFile probe(std::filesystem::path(options.folder) / "probe"); }  // throws early
  const auto config = annotate::read_panel_config(options.config);
  annotate::Store store(options.store);
  std::map<std::string, std::unique_ptr<annotate::Endpoint>> endpoints;
  Waiting waiting;
  const Interrupt interrupt;
  while (true) {
    std::size_t open = 0;
    for (const auto& batch : store.batches()) {
      if (annotate::is_final(batch.state) || waiting.gave_up.contains(batch.id)) continue;
      if (Interrupt::asked()) {
        ++open;
        continue;
      }
      auto& endpoint = endpoints[batch.judge];
      if (endpoint == nullptr)
        endpoint = std::make_unique<annotate::Endpoint>(judge_named(config, batch.judge).endpoint);
      if (poll(batch, *endpoint, store, options, waiting)) ++open;
    }
    if (Interrupt::asked() && open > 0) {
      report(waiting.results);
      throw Unfinished(3, fmt::format("stopped: {} batches are still running", open));
    }
    if (open == 0) break;
    for (std::int64_t i = 0; i < std::int64_t{options.every} * 10 && !Interrupt::asked(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  report(waiting.results);
  if (waiting.failed + waiting.gave_up.size() > 0)
    throw Unfinished(4, fmt::format("{} batches did not bring all replies, see above; submit "
                                    "their files again, which sends the lines without a reply",
                                    waiting.failed + waiting.gave_up.size()));
}

}  // namespace

Run declare_batch(args::Command app) {
  const auto options = std::make_shared<BatchOptions>();
  app.require_subcommand();

  auto writing = app.subcommand("write", "Write the pending questions as batch files");
  options->panel.declare(writing);
  writing.option("--out", &options->out, "Prefix of the files: PREFIX.TEACHER.0001.jsonl")
      .file(args::FileUse::write_prefix)
      .required();
  writing.option("--max-lines", &options->limits.lines, "Largest number of lines per file")
      .positive()
      .show_default();
  writing.option("--max-bytes", &options->limits.bytes, "Largest size of a file in bytes")
      .positive()
      .show_default();

  auto reading = app.subcommand("read", "Read results into the store");
  reading.option("--store", &options->store, "The store")
      .file(args::FileUse::write_store)
      .required()
      .existing_file();
  reading.option("RESULTS", &options->files, "Files with results or errors, in any order")
      .file(args::FileUse::read)
      .required();

  auto submitting = app.subcommand("submit", "Send batch files to a judge's provider");
  auto waiting = app.subcommand(
      "wait", "Wait for all batches that were sent and read their results into the store");
  for (auto part : {submitting, waiting}) {
    part.option("--panel", &options->config, "The panel's configuration, .toml")
        .file(args::FileUse::read)
        .required();
    part.option("--store", &options->store, "The store")
        .file(args::FileUse::write_store)
        .required()
        .existing_file();
  }
  submitting
      .option("--teacher", &options->judge,
              "Name of the judge ([[teacher]]) that the files are for")
      .required();
  submitting.flag("--resend", &options->resend,
                  "Send a file again although the reply to an earlier submission was lost, which "
                  "may have begun a batch");
  submitting.option("FILES", &options->files, "Files that batch write has written")
      .file(args::FileUse::read)
      .required();
  waiting.option("--out", &options->folder, "Folder for the downloaded results")
      .file(args::FileUse::write_folder)
      .required()
      .existing_folder();
  waiting.option("--every", &options->every, "Seconds between two polls").positive().show_default();
  app.footer(
      "Then run sp2dpo annotate with the same pairs, panel and store. It makes the annotations "
      "and\n"
      "asks the questions that are still unanswered.\n\n"
      "Example:\n"
      "  sp2dpo batch write --pairs pairs.jsonl --panel panel.toml --store run.db --out ask\n"
      "  vllm run-batch -i ask.qwen.0001.jsonl -o results.jsonl --model Qwen/Qwen3-8B\n"
      "  sp2dpo batch read --store run.db results.jsonl");
  return [options, writing, reading, submitting] {
    if (writing.chosen()) {
      write(*options);
    } else if (reading.chosen()) {
      read(*options);
    } else if (submitting.chosen()) {
      submit(*options);
    } else {
      wait(*options);
    }
  };
}

}  // namespace sp2dpo::tool
