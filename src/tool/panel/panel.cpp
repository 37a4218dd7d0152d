// SPDX-License-Identifier: Apache-2.0
#include "panel/panel.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <random>
#include <string_view>
#include <utility>

#include "command.hpp"
#include "named_files.hpp"
#include "text/parse.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <sp2dpo/error.hpp>

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
  throw UsageError(
      fmt::format("--shard: expected I/N, counted from 0, such as 0/4; got \"{}\"", text));
}

std::vector<PreferencePair> chosen(std::vector<PreferencePair> pairs, const PanelOptions& options) {
  if (options.limit > 0 && options.limit < std::ssize(pairs))
    pairs.resize(static_cast<std::size_t>(options.limit));
  if (options.sample > 0 && options.sample < std::ssize(pairs)) {
    // Written out, since std::sample differs between standard libraries.
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

/// Returns the prompt version that a store continues with, which a new store has at its latest.
int stored_prompt_version(const std::string& store) {
  if (!annotate::Store::has_begun(store)) return annotate::latest_prompt_version;
  return annotate::Store(store, annotate::Store::Access::read)
      .prompt_version()
      .value_or(annotate::latest_prompt_version);
}

/// Records the lowest version of the library's prompts that the store is asked with, and says so if
/// the store keeps the panel on an earlier one.
void note_prompt_version(annotate::Store& store, const PanelRun& panel) {
  int lowest = panel.prompt_version;
  bool continued = false;
  if (panel.config.built_in_prompts) {
    for (const auto& prompt : panel.config.prompts) {
      lowest = std::min(lowest, prompt.version());
      continued |= prompt.version() == panel.prompt_version;
    }
  }
  if (store.prompt_version() != lowest) store.set_prompt_version(lowest);
  if (continued && panel.prompt_version < annotate::latest_prompt_version)
    fmt::print(stderr,
               "{} has questions of version {} of the prompts and continues with it; for version "
               "{}, use a new store or name it in the panel, as in \"direct@{}\"\n",
               store.path().string(), panel.prompt_version, annotate::latest_prompt_version,
               annotate::latest_prompt_version);
}

volatile std::sig_atomic_t interrupted = 0;
volatile std::sig_atomic_t under_way = 0;
std::atomic<std::int64_t> first_signal = 0;  // nanoseconds of the monotonic clock
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

/// Calls only what a signal handler may call.
void say_what_is_lost(int requests) {
  char text[160];
  std::size_t size = 0;
  const auto append = [&](const char* part) {
    while (*part != '\0') text[size++] = *part++;
  };
  append("\nsp2dpo: ended at once");
  if (requests > 0) {
    append("; lost: the replies to ");
    char digits[8];
    int count = 0;
    for (int rest = requests; rest > 0 && count < 8; rest /= 10)
      digits[count++] = static_cast<char>('0' + rest % 10);
    while (count > 0) text[size++] = digits[--count];
    append(" requests under way, which may have to be paid for");
  }
  append("\n");
  (void)!::write(STDERR_FILENO, text, size);
}

extern "C" void on_signal(int signal) {
  constexpr std::int64_t second = 1'000'000'000;
  const int error = errno;
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now = time.tv_sec * second + time.tv_nsec;
  if (interrupted == 0) {
    interrupted = 1;
    first_signal = now;
  } else if (now - first_signal >= second) {
    say_what_is_lost(static_cast<int>(under_way));
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  errno = error;
}

}  // namespace

void PanelOptions::declare(args::Command app) {
  pairs.declare(app);
  app.option("--panel", &panel, "The panel's configuration, .toml")
      .file(args::FileUse::read)
      .required();
  app.option("--prompts", &prompts, "Folder with prompt templates that replace the panel's")
      .file(args::FileUse::read_folder);
  app.option("--store", &store, "SQLite file that keeps every reply; created if missing")
      .file(args::FileUse::write_store)
      .required();
  app.option("--shard", &shard, "I/N: only shard I of N, counted from 0, by hash of the id");
  app.option("--limit", &limit, "Use only the first N pairs").positive();
  app.option("--sample", &sample, "Use only N pairs, drawn at random").positive();
  app.option("--seed", &seed, "Seed of --sample").show_default();
  app.flag("--changed-pairs", &changed_pairs,
           "Continue with a store that was begun with another pairs file");
  app.flag("--allow-unpriced", &allow_unpriced, "Ask judges without a price");
}

PanelRun::PanelRun(const PanelOptions& options)
    : prompt_version(stored_prompt_version(options.store)),
      config(annotate::read_panel_config(options.panel, options.prompts, prompt_version)) {
  for (const auto& judge : config.judges)
    if (!judge.endpoint.ca_file.empty())
      named_files().add(args::FileUse::read, fmt::format("the ca_file of judge {}", judge.name),
                        judge.endpoint.ca_file);
  pairs_sha256 = read_pairs(options.pairs, [&](PreferencePair& pair) {
                   pair.columns.clear();
                   pairs.push_back(std::move(pair));
                 }).file.sha256;
  pairs = chosen(std::move(pairs), options);
  members = annotate::panel_members(config, {});
}

void PanelRun::connect(const Connection& connection) {
  std::vector<annotate::Endpoint*> borrowed;
  for (auto& judge : config.judges) {
    auto& options = judge.endpoint;
    if (connection.wait_seconds)
      options.max_silence = std::chrono::seconds(*connection.wait_seconds);
    if (connection.once) options.max_attempts = 1;
    options.seed = std::random_device{}();  // shards on several machines do not wait in step
    try {
      endpoints.push_back(std::make_unique<annotate::Endpoint>(options));
    } catch (const InvalidArgument& error) {
      throw Error(fmt::format("{}: teacher {}: {}", judge.origin, judge.name, error.what()));
    }
    borrowed.push_back(endpoints.back().get());
  }
  members = annotate::panel_members(config, borrowed);
}

void PanelRun::require_prices() const {
  for (const auto& judge : config.judges)
    if (!judge.price)
      throw Error(
          fmt::format("judge {} has no price, so the cost is unknown; set price = {{ prompt = …, "
                      "completion = … }} "
                      "(per million tokens, 0 is valid) in the panel, or use --allow-unpriced",
                      judge.name));
}

std::unique_ptr<annotate::Store> open_store(const PanelOptions& options, const PanelRun& panel) {
  if (std::filesystem::exists(options.store) && !annotate::Store::has_begun(options.store))
    fmt::print(stderr, "{} is empty; a new store begins in it\n", options.store);
  auto store = std::make_unique<annotate::Store>(options.store);
  const auto begun_with = store->pairs_sha256();
  if (begun_with.empty() || options.changed_pairs) {
    store->set_pairs_sha256(panel.pairs_sha256);
  } else if (begun_with != panel.pairs_sha256) {
    throw Error(
        fmt::format("{} was begun with another pairs file than {}: expected SHA-256 {}, got {}. "
                    "Use a new store, "
                    "or --changed-pairs, which keeps the replies about pairs that have not changed",
                    options.store, options.pairs.file, begun_with, panel.pairs_sha256));
  }
  note_prompt_version(*store, panel);
  return store;
}

void print_plan(const PanelRun& panel, const std::vector<annotate::MemberPlan>& plans, bool batch) {
  fmt::print("{} pairs, {} questions about each\n\n", panel.pairs.size(), plans.size());
  std::size_t width = std::string_view("teacher").size();
  for (const auto& judge : panel.config.judges) width = std::max(width, judge.name.size());
  fmt::print("  {:{}}  {:>9}  {:>9}  {:>9}  {:>9}  {:>12}  {:>12}  {:>10}\n", "teacher", width,
             "questions", "answered", "shared", "calls", "tokens in", "tokens out", "cost");
  double sum = 0;
  double max_cost = 0;
  std::int64_t calls = 0;
  std::vector<std::string> unpriced;
  for (const auto& judge : panel.config.judges) {
    annotate::MemberPlan all;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (panel.members[i].judge->name != judge.name) continue;
      all.questions += plans[i].questions;
      all.stored += plans[i].stored;
      all.shared += plans[i].shared;
      all.calls += plans[i].calls;
      all.prompt_tokens += plans[i].prompt_tokens;
      all.completion_tokens += plans[i].completion_tokens;
      all.cost += plans[i].cost;
      all.max_cost += plans[i].max_cost;
    }
    const double factor = batch && judge.price ? judge.price->batch_factor : 1;
    std::string cost = "unknown";
    if (judge.price) {
      cost = fmt::format("{:.2f}", factor * all.cost);
    } else {
      unpriced.push_back(judge.name);
    }
    fmt::print("  {:{}}  {:>9}  {:>9}  {:>9}  {:>9}  {:>12.0f}  {:>12.0f}  {:>10}\n", judge.name,
               width, all.questions, all.stored, all.shared, all.calls, all.prompt_tokens,
               all.completion_tokens, cost);
    calls += all.calls;
    sum += factor * all.cost;
    max_cost += factor * all.max_cost;
  }
  if (unpriced.empty())
    fmt::print("\n{} calls, about {:.2f}, at most {:.2f} without retries\n", calls, sum, max_cost);
  else
    fmt::print("\n{} calls, cost unknown: no price of {}\n", calls, fmt::join(unpriced, ", "));
  fmt::print(
      "(estimate: one token per four bytes of prompt, replies of full length; limit: one token per "
      "byte)\n");
}

Interrupt::Interrupt() {
  interrupted = 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    struct sigaction action {};
    action.sa_handler = &on_signal;
    ::sigaction(signal, &action, nullptr);
  }
}

void Interrupt::set_under_way(std::int64_t requests) {
  under_way = static_cast<int>(std::min<std::int64_t>(requests, 999'999));
}

bool Interrupt::asked() {
  return interrupted != 0;
}

}  // namespace sp2dpo::tool
