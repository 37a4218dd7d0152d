// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "command.hpp"
#include "named_files.hpp"
#include "panel/panel.hpp"
#include "panel/panel_progress.hpp"
#include "panel/panel_table.hpp"
#include <fmt/format.h>

#include <sp2dpo/error.hpp>
#include <sp2dpo/io/annotations.hpp>

namespace sp2dpo::tool {

namespace {

struct AnnotateOptions {
  PanelOptions panel;
  std::string out;
  std::string failures;
  bool plan = false;
  bool reparse = false;
  bool check = false;
  std::optional<std::int64_t> wait_for_servers;
  std::optional<double> max_cost;
  std::optional<std::int64_t> max_requests;
};

void show_plan(const AnnotateOptions& options, const PanelRun& panel) {
  std::unique_ptr<annotate::Store> store;
  if (std::filesystem::exists(options.panel.store))
    store = std::make_unique<annotate::Store>(options.panel.store, annotate::Store::Access::read);
  print_plan(panel, annotate::plan_panel(panel.pairs, panel.members, store.get()), false);
  if (!options.max_cost)
    fmt::print("No limit is set; --max-cost C stops a run before it spends more than C\n");
}

std::string failures_file(const AnnotateOptions& options) {
  return options.failures.empty() ? options.out + ".failures" : options.failures;
}

/// The files of a run, opened before anything is paid for.
struct Outputs {
  io::AnnotationWriter annotations;
  FailureWriter failures;
};

/// Writes annotations and failures pair by pair, and returns their table.
PanelTable write_answers(Outputs& outputs, const PanelRun& panel, const annotate::Store& store) {
  PanelTable table(panel);
  std::vector<Annotation> of_pair;
  const auto flush = [&] {
    std::ranges::sort(of_pair, {}, [](const Annotation& a) {
      return std::tie(a.annotator, a.prompt, a.order, a.sample);
    });
    for (const auto& annotation : of_pair) outputs.annotations.write(annotation);
    of_pair.clear();
  };
  annotate::read_panel(panel.pairs, panel.members, store, [&](const annotate::PanelOutcome& read) {
    if (read.member == 0) flush();
    table.count(read);
    if (const auto* annotation = std::get_if<Annotation>(&read.outcome)) {
      of_pair.push_back(*annotation);
    } else {
      outputs.failures.write(read);
    }
  });
  flush();
  outputs.annotations.finish();
  outputs.failures.finish();
  return table;
}

[[noreturn]] void unfinished(const AnnotateOptions& options, const annotate::RunResult& result,
                             std::int64_t unanswered) {
  using End = annotate::RunResult::End;
  const auto rest =
      fmt::format("{} questions are unanswered, listed in {}; run the same command to continue",
                  unanswered, failures_file(options));
  switch (result.end) {
    case End::disk:
      throw Unfinished(
          4, fmt::format("stopped by the disk ({}); {}; free some room: {}", result.disk_error,
                         result.rescued.empty() ? "every reply is in the store"
                                                : "the last replies are in " + result.rescued +
                                                      ", which the next run reads",
                         rest));
    case End::max_cost:
      throw Unfinished(3, "stopped by --max-cost: " + rest);
    case End::max_requests:
      throw Unfinished(3, "stopped by --max-requests: " + rest);
    case End::stopped:
      throw Unfinished(3, "stopped: " + rest);
    default:
      break;
  }
  std::string why;
  for (const auto& reason : result.endpoints_stopped) why += reason + "\n  ";
  throw Unfinished(4, why + rest);
}

annotate::RunResult ask(const AnnotateOptions& options, const PanelRun& panel,
                        annotate::Store& store) {
  const Interrupt interrupt;
  PanelProgress progress(options.max_cost);
  auto result = annotate::run_panel(panel.pairs, panel.members, store,
                                    {.max_cost = options.max_cost,
                                     .max_requests = options.max_requests,
                                     .should_stop =
                                         [&](const annotate::PanelProgress& now) {
                                           progress.show(now);
                                           return Interrupt::asked();
                                         },
                                     .interrupted = [] { return Interrupt::asked(); }});
  if (result.needed_cost > 0)
    throw UsageError(fmt::format(
        "--max-cost {}: nothing was sent, because one request may cost up to {:.4f} (one token per "
        "byte, the longest reply); name a limit of at least that",
        *options.max_cost, result.needed_cost));
  return result;
}

/// Asks each judge one question, and keeps the replies.
void check(const AnnotateOptions& options, PanelRun& panel) {
  if (panel.pairs.empty()) throw Error("no pair to ask about");
  panel.connect({.wait_seconds = options.wait_for_servers, .once = true});
  const auto store = open_store(options.panel, panel);
  const auto& pair = panel.pairs.front();
  int bad = 0;
  for (const auto& judge : panel.config.judges) {
    const auto& member =
        *std::ranges::find(panel.members, judge.name,
                           [](const annotate::PanelMember& each) { return each.judge->name; });
    const auto checked = annotate::check_judge(pair, member, *store);
    if (!checked.usable) ++bad;
    fmt::print("{}  {}: {} at {}: {}, {:.2f} s, cost {:.4f}\n", checked.usable ? "PASS" : "FAIL",
               judge.name, judge.model, judge.endpoint.base_url, checked.outcome, checked.seconds,
               checked.cost);
  }
  if (bad > 0)
    throw Unfinished(
        4, fmt::format("{} of {} judges gave no usable reply", bad, panel.config.judges.size()));
}

/// Adds the file of failures that the command line does not name.
void add_failures_file(const AnnotateOptions& options) {
  if (options.out.empty() || !options.failures.empty()) return;
  if (std::filesystem::exists(options.out) && !std::filesystem::is_regular_file(options.out))
    throw UsageError(
        fmt::format("--out {} is not a regular file; name a file for the failures with --failures",
                    options.out));
  named_files().add(args::FileUse::write, "--failures (by default)", failures_file(options));
}

void run(const AnnotateOptions& options) {
  add_failures_file(options);
  PanelRun panel(options.panel);
  if (options.plan) {
    show_plan(options, panel);
    return;
  }
  if (options.check) {
    check(options, panel);
    return;
  }
  if (options.out.empty()) throw UsageError("--out is required unless --plan or --check is given");
  if (!options.reparse) {
    if (!options.panel.allow_unpriced) panel.require_prices();
    panel.connect({.wait_seconds = options.wait_for_servers});
  }
  Outputs outputs{
      io::AnnotationWriter(checked_output(options.out), panel.config.prompts.front().categories()),
      FailureWriter(failures_file(options))};
  annotate::RunResult result;
  const auto opened = open_store(options.panel, panel);
  annotate::Store& store = *opened;
  if (!options.reparse) result = ask(options, panel, store);
  const auto table = write_answers(outputs, panel, store);
  table.print();
  if (!options.reparse) {
    const auto& now = result.progress;
    fmt::print(
        "\n{} answered now, {} before, {} shared, {} asked again; {} tokens in, {} out, cost "
        "{:.4f}\n",
        now.answered, now.stored, now.shared, now.asked_again, now.prompt_tokens,
        now.completion_tokens, now.cost);
  }
  fmt::print("{} is written: {} annotations, {} failures\n", options.out, table.annotations(),
             table.failures());
  if (table.unanswered() == 0) return;
  if (options.reparse)
    throw Unfinished(4, fmt::format("{} questions have no reply in {}", table.unanswered(),
                                    options.panel.store));
  unfinished(options, result, table.unanswered());
}

}  // namespace

Run declare_annotate(args::Command app) {
  const auto options = std::make_shared<AnnotateOptions>();
  options->panel.declare(app);
  app.section("Output");
  app.option("-o,--out", &options->out, "Annotations to write, .jsonl").file(args::FileUse::write);
  app.option("--failures", &options->failures,
             "Questions without an annotation, and why [OUT.failures]")
      .file(args::FileUse::write);
  app.section("Limits");
  app.flag("--plan", &options->plan, "Print the number of questions and their cost; send nothing");
  app.flag("--reparse", &options->reparse, "Make the annotations from the store; send nothing");
  app.flag("--check", &options->check,
           "Ask each judge one question, say how it went, and keep the replies");
  app.option("--wait-for-servers", &options->wait_for_servers,
             "Seconds to wait for a server that has not answered at all yet [30]")
      .positive();
  app.option("--max-cost", &options->max_cost,
             "Stop before this run costs more, in the panel's currency")
      .non_negative();
  app.option("--max-requests", &options->max_requests, "Stop after N requests").non_negative();
  app.footer(
      "Every reply is in the store before it is used. Run the command again to send only the\n"
      "questions that have no reply there.\n\n"
      "Exit status: 0 all questions are answered; 1 bad data; 2 invalid options; 3 stopped by a\n"
      "limit or by Ctrl-C, the same command continues; 4 some questions got no reply.\n\n"
      "Examples:\n"
      "  sp2dpo annotate --pairs pairs.jsonl --panel panel.toml --store run.db --plan\n"
      "  sp2dpo annotate --pairs pairs.jsonl --panel panel.toml --store run.db --max-cost 40 \\\n"
      "    --out annotations.jsonl");
  return [options] { run(*options); };
}

}  // namespace sp2dpo::tool
