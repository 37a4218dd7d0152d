// SPDX-License-Identifier: Apache-2.0
#include "panel/panel.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <random>
#include <string_view>
#include <utility>

#include "command.hpp"
#include "text/parse.hpp"
#include <fmt/format.h>

namespace sp2dpo::tool {

namespace {

struct Shard {
  std::uint32_t index;
  std::uint32_t count;
};

Shard parse_shard(std::string_view text) {
  const auto slash = text.find('/');
  const auto index = text::parse_whole<std::uint32_t>(text.substr(0, slash));
  const auto count = slash == std::string_view::npos
                         ? std::nullopt
                         : text::parse_whole<std::uint32_t>(text.substr(slash + 1));
  if (index && count && *index < *count) return {*index, *count};
  throw UsageError(fmt::format(
      "--shard: expected I/N, part I of N, counted from 0, as in 0/4; not \"{}\"", text));
}

std::vector<PreferencePair> chosen(std::vector<PreferencePair> pairs, const PanelOptions& options) {
  if (options.limit > 0 && options.limit < std::ssize(pairs))
    pairs.resize(static_cast<std::size_t>(options.limit));
  if (options.sample > 0 && options.sample < std::ssize(pairs)) {
    // By hand, since std::sample draws otherwise in every standard library.
    std::mt19937_64 random(options.seed);
    auto left = static_cast<std::uint64_t>(std::ssize(pairs));
    auto wanted = static_cast<std::uint64_t>(options.sample);
    std::erase_if(pairs, [&](const PreferencePair&) {
      const bool taken = random() % left-- < wanted;
      if (taken) --wanted;
      return !taken;
    });
  }
  if (!options.shard.empty()) {
    const auto [index, count] = parse_shard(options.shard);
    std::erase_if(pairs, [&](const PreferencePair& pair) {
      return !annotate::in_shard(pair.id, index, count);
    });
  }
  return pairs;
}

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

void PanelOptions::declare(args::Command app) {
  pairs.declare(app);
  app.option("--panel", &panel, "The panel's configuration, .toml").required();
  app.option("--prompts", &prompts, "Folder with templates, instead of the panel's own");
  app.option("--store", &store, "File that keeps every answer, made where there is none")
      .required();
  app.option("--shard", &shard, "I/N: only part I of N, counted from 0, by hash of the id");
  app.option("--limit", &limit, "Only the first so many pairs").positive();
  app.option("--sample", &sample, "Only so many pairs, drawn at random").positive();
  app.option("--seed", &seed, "Of --sample").show_default();
  app.flag("--changed-pairs", &changed_pairs,
           "Go on although the store was begun with another pairs file");
  app.flag("--allow-unpriced", &allow_unpriced, "Ask models whose price is not known");
}

PanelRun::PanelRun(const PanelOptions& options)
    : config(annotate::read_panel_config(options.panel, options.prompts)) {
  pairs_sha256 = read_pairs(options.pairs, [&](PreferencePair& pair) {
                   pair.columns.clear();
                   pairs.push_back(std::move(pair));
                 }).file.sha256;
  pairs = chosen(std::move(pairs), options);
  members = annotate::panel_members(config, {});
}

void PanelRun::connect() {
  std::vector<annotate::Endpoint*> borrowed;
  for (const auto& teacher : config.teachers) {
    endpoints.push_back(std::make_unique<annotate::Endpoint>(teacher.endpoint));
    borrowed.push_back(endpoints.back().get());
  }
  members = annotate::panel_members(config, borrowed);
}

void PanelRun::require_prices() const {
  for (const auto& teacher : config.teachers)
    if (!teacher.price)
      throw Error(fmt::format(
          "teacher {} has no price, so nobody can say what it will cost; give it one "
          "(price = {{prompt = …, completion = …}}, for a million tokens; 0 is a price), or say "
          "--allow-unpriced",
          teacher.name));
}

std::unique_ptr<annotate::Store> open_store(const PanelOptions& options, const PanelRun& panel) {
  auto store = std::make_unique<annotate::Store>(options.store);
  const auto begun_with = store->pairs_sha256();
  if (begun_with.empty() || options.changed_pairs) {
    store->set_pairs_sha256(panel.pairs_sha256);
  } else if (begun_with != panel.pairs_sha256) {
    throw Error(fmt::format(
        "{} was begun with another pairs file than {}: its SHA-256 was {}, and is {} now. Begin a "
        "new store, or say --changed-pairs: answers to the pairs that are still the same are kept",
        options.store, options.pairs.file, begun_with, panel.pairs_sha256));
  }
  return store;
}

void print_plan(const PanelRun& panel, const std::vector<annotate::MemberPlan>& plans, bool batch) {
  fmt::print("{} pairs, {} questions about each\n\n", panel.pairs.size(), plans.size());
  std::size_t width = std::string_view("teacher").size();
  for (const auto& teacher : panel.config.teachers) width = std::max(width, teacher.name.size());
  fmt::print("  {:{}}  {:>9}  {:>9}  {:>9}  {:>9}  {:>12}  {:>12}  {:>10}\n", "teacher", width,
             "questions", "answered", "shared", "calls", "tokens in", "tokens out", "cost");
  double sum = 0;
  double most = 0;
  std::int64_t calls = 0;
  std::vector<std::string> unpriced;
  for (const auto& teacher : panel.config.teachers) {
    annotate::MemberPlan all;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (panel.members[i].id.annotator != teacher.name) continue;
      all.questions += plans[i].questions;
      all.stored += plans[i].stored;
      all.shared += plans[i].shared;
      all.calls += plans[i].calls;
      all.prompt_tokens += plans[i].prompt_tokens;
      all.completion_tokens += plans[i].completion_tokens;
      all.cost += plans[i].cost;
      all.most += plans[i].most;
    }
    const double factor = batch && teacher.price ? teacher.price->batch_factor : 1;
    std::string cost = "unknown";
    if (teacher.price) {
      cost = fmt::format("{:.2f}", factor * all.cost);
    } else {
      unpriced.push_back(teacher.name);
    }
    fmt::print("  {:{}}  {:>9}  {:>9}  {:>9}  {:>9}  {:>12.0f}  {:>12.0f}  {:>10}\n", teacher.name,
               width, all.questions, all.stored, all.shared, all.calls, all.prompt_tokens,
               all.completion_tokens, cost);
    calls += all.calls;
    sum += factor * all.cost;
    most += factor * all.most;
  }
  fmt::print(
      "\n{} calls, about {:.2f}, and never more than {:.2f} while each is asked once\n"
      "(a token for every four bytes of prompt, answers as long as they may be; the bound takes "
      "every byte for a token)\n",
      calls, sum, most);
  for (const auto& name : unpriced) fmt::print("The price of {} is not known\n", name);
}

Interrupt::Interrupt() {
  interrupted = 0;
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
}

bool Interrupt::asked() {
  return interrupted != 0;
}

}  // namespace sp2dpo::tool
