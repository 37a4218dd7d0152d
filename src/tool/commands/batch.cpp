// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "panel/panel.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/batch.hpp>

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
}

void read(const BatchOptions& options) {
  annotate::Store store(options.store);
  annotate::BatchResults all;
  for (const auto& file : options.files) all += annotate::read_batch(file, store);
  report(all);
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
  for (const auto& file : options.files)
    fmt::print("{}: {}\n", file,
               annotate::submit_batch(file, options.judge, endpoint, store)
                   ? "sent"
                   : "was sent before; not sent again");
}

void wait(const BatchOptions& options) {
  const auto config = annotate::read_panel_config(options.config);
  annotate::Store store(options.store);
  std::map<std::string, std::unique_ptr<annotate::Endpoint>> endpoints;
  annotate::BatchResults all;
  std::size_t failed = 0;
  const Interrupt interrupt;
  while (true) {
    std::size_t open = 0;
    for (const auto& batch : store.batches()) {
      if (annotate::is_final(batch.state)) continue;
      auto& endpoint = endpoints[batch.judge];
      if (endpoint == nullptr)
        endpoint = std::make_unique<annotate::Endpoint>(judge_named(config, batch.judge).endpoint);
      const auto state = annotate::collect_batch(batch, *endpoint, store, options.folder, all);
      if (state != batch.state) fmt::print("{}: {}\n", batch.id, state);
      if (!annotate::is_final(state)) ++open;
      if (state == "failed") ++failed;
    }
    if (open == 0) break;
    for (int second = 0; second < options.every && !Interrupt::asked(); ++second)
      std::this_thread::sleep_for(std::chrono::seconds(1));
    if (Interrupt::asked()) {
      report(all);
      throw Unfinished(3, fmt::format("stopped: {} batches are still running", open));
    }
  }
  report(all);
  if (failed > 0)
    throw Unfinished(4, fmt::format("{} batches failed; write and submit them again", failed));
}

}  // namespace

Run declare_batch(args::Command app) {
  const auto options = std::make_shared<BatchOptions>();
  app.require_subcommand();

  auto writing = app.subcommand("write", "Write the pending questions as batch files");
  options->panel.declare(writing);
  writing.option("--out", &options->out, "Prefix of the files: PREFIX.TEACHER.0001.jsonl")
      .required();
  writing.option("--max-lines", &options->limits.lines, "Largest number of lines per file")
      .positive()
      .show_default();
  writing.option("--max-bytes", &options->limits.bytes, "Largest size of a file in bytes")
      .positive()
      .show_default();

  auto reading = app.subcommand("read", "Read results into the store");
  reading.option("--store", &options->store, "The store").required().existing_file();
  reading.option("RESULTS", &options->files, "Files with results or errors, in any order")
      .required();

  auto submitting = app.subcommand("submit", "Send batch files to a judge's provider");
  auto waiting = app.subcommand(
      "wait", "Wait for all batches that were sent and read their results into the store");
  for (auto part : {submitting, waiting}) {
    part.option("--panel", &options->config, "The panel's configuration, .toml").required();
    part.option("--store", &options->store, "The store").required().existing_file();
  }
  submitting
      .option("--teacher", &options->judge,
              "Name of the judge ([[teacher]]) that the files are for")
      .required();
  submitting.option("FILES", &options->files, "Files that batch write has written").required();
  waiting.option("--out", &options->folder, "Folder for the downloaded results")
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
