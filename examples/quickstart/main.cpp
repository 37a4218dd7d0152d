// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "safetensors.hpp"
#include "summary.hpp"
#include "text.hpp"
#include "train.hpp"
#include <args.hpp>
#include <fmt/format.h>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/schedule.hpp>
#include <sp2dpo/report/checks.hpp>
#include <sp2dpo/report/svg.hpp>
#include <sp2dpo/report/table.hpp>
#include <sp2dpo/schedule/aggregate.hpp>

namespace {

namespace fs = std::filesystem;
namespace io = sp2dpo::io;
namespace report = sp2dpo::report;
using namespace quickstart;

volatile std::sig_atomic_t signal_number = 0;

/// Makes the first signal end the training, and a second one the program.
void stop_at_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) { signal_number = number; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

struct Options {
  std::string pairs;
  std::string annotations;
  std::string out = "build/quickstart";
  std::string id_field;
  double time_limit = 600;
  Settings settings;
};

/// The files of one run. Removes those of an earlier run, so that runs never mix.
class OutFolder {
 public:
  explicit OutFolder(fs::path path) : path_(std::move(path)) {
    fs::create_directories(path_);
    for (const char* name : {"schedule.jsonl", "beta_histogram.svg", "metrics.csv",
                             "training_curves.svg", "policy.safetensors"})
      fs::remove(path_ / name);
  }

  [[nodiscard]] fs::path file(const char* name) const { return path_ / name; }

  void write(const char* name, const std::string& bytes) const {
    io::OutputFile file(path_ / name);
    file.write(bytes);
    file.commit();
  }

 private:
  fs::path path_;
};

struct Made {
  sp2dpo::Schedule schedule;
  io::ScheduleManifest manifest;
};

io::InputFile described(const char* role, const io::RowReader& reader) {
  return {role, reader.path().string(), reader.sha256(), reader.rows()};
}

/// Reads the pairs into `pairs`, and makes their schedule of the annotations.
Made make_schedule(const Options& options, std::vector<sp2dpo::PreferencePair>& pairs) {
  io::PairReader pair_reader(options.pairs, {.id_field = options.id_field});
  std::vector<std::string> ids;
  for (sp2dpo::PreferencePair pair; pair_reader.next(pair);) {
    ids.push_back(pair.id);
    pairs.push_back(pair);
  }
  sp2dpo::VoteTable votes(ids);
  io::AnnotationReader annotation_reader(options.annotations);
  for (sp2dpo::Annotation annotation; annotation_reader.next(annotation);)
    io::add_to(votes, annotation, annotation_reader);

  const sp2dpo::Jmamp jmamp;
  const sp2dpo::Linear linear;
  const sp2dpo::Missing missing;  // a pair without annotations is an error
  auto schedule = map_gaps(aggregate(votes, jmamp), linear, missing);
  auto counts = io::count(schedule, pair_reader.rows(), annotation_reader.rows());
  return {std::move(schedule),
          {.inputs = {described("pairs", pair_reader), described("annotations", annotation_reader)},
           .aggregator = io::describe(jmamp),
           .mapper = io::describe(linear),
           .missing = io::describe(missing),
           .counts = counts}};
}

void print_encoding(const EncodedPairs& encoded, std::size_t context) {
  const auto n = encoded.pairs.size();
  fmt::print(
      "The model reads {} bytes: {} of {} pairs ({:.1f} %) are longer and were cut, by {:.1f} % of "
      "all bytes.\n",
      context, encoded.truncated, n,
      100 * static_cast<double>(encoded.truncated) / static_cast<double>(n),
      100 * static_cast<double>(encoded.bytes_dropped) / static_cast<double>(encoded.bytes));
  if (encoded.truncated > 0)
    fmt::print(
        "  A prompt keeps its tail and a response its head. --context N reads more and takes "
        "longer.\n");
}

void write_results(const Results& results, const OutFolder& out) {
  out.write("metrics.csv", metrics_csv(results));
  if (const auto panels = training_panels(results); !panels.empty())
    out.write("training_curves.svg",
              report::training_curves_svg(panels, "DPO, three ways to choose beta"));
  if (!results.policy.empty())
    out.write("policy.safetensors",
              safetensors(results.policy, {{"arm", std::string(name_of(Arm::per_pair))},
                                           {"dpo_steps", fmt::format("{}", results.policy_steps)},
                                           {"seed", "0"}}));
}

void print_files(const Results& results, const OutFolder& out) {
  const auto line = [&](const char* name, const std::string& what) {
    if (fs::exists(out.file(name))) fmt::print("  {:<20} {}\n", name, what);
  };
  fmt::print("Written to {}:\n", out.file("").string());
  line("schedule.jsonl", "one beta per pair, with its gap and the number of judgments");
  line("beta_histogram.svg", "distribution of the betas, by category");
  line("metrics.csv", "loss, accuracy and margin of every run by step");
  line("training_curves.svg", "the three arms on held-out pairs, with the spread over seeds");
  line("policy.safetensors", fmt::format("{} weights after {} steps with per-pair betas, seed 0",
                                         results.parameters, results.policy_steps));
}

int run(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<sp2dpo::PreferencePair> pairs;
  const auto [schedule, manifest] = make_schedule(options, pairs);
  if (pairs.size() < 16)
    throw sp2dpo::InvalidArgument(
        fmt::format("training needs at least 16 pairs, not {}", pairs.size()));
  const OutFolder out(options.out);
  io::write_schedule(out.file("schedule.jsonl"), schedule, manifest);
  out.write("beta_histogram.svg", report::beta_histogram_svg(schedule));

  const auto encoded = encode(pairs, options.settings.context);
  std::vector<double> length_differences;
  for (const auto& pair : encoded.pairs)
    length_differences.push_back(static_cast<double>(pair.length_difference));
  fmt::print("{} pairs, {} annotations\n\n{}\n", schedule.size(), manifest.counts.annotations,
             report::beta_table(schedule));
  const auto findings = report::check_schedule(schedule, length_differences);
  for (const auto& finding : findings)
    fmt::print("warning: {}: {}\n", finding.check, finding.sentence);
  if (findings.empty())
    fmt::print("No warning: the betas are not saturated, not flat, and do not follow length.\n");
  print_encoding(encoded, options.settings.context);
  fmt::print("Training stops after {:.0f} s at the latest (--time-limit).\n\n", options.time_limit);
  std::fflush(stdout);

  stop_at_signals();
  const auto results = run_experiment(encoded.pairs, schedule, options.settings, [&] {
    return signal_number != 0 || seconds() > options.time_limit;
  });
  write_results(results, out);

  const auto finished = std::ranges::count_if(results.runs, &Run::finished);
  const auto wanted = options.settings.seeds * std::ssize(all_arms);
  fmt::print(
      "\n{} parameters, {} training pairs (mean beta {:.3f}), {} of {} runs finished, {:.0f} s\n",
      results.parameters, results.training_pairs, results.mean_beta, finished, wanted, seconds());
  fmt::print("{}", comparison(results));
  print_files(results, out);
  if (signal_number != 0) {
    fmt::print("Interrupted: the files hold the results so far.\n");
    return 128 + signal_number;
  }
  if (finished < wanted)
    fmt::print("The time limit was reached: the files hold the results so far.\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  auto& settings = options.settings;
  settings.workers = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  sp2dpo::args::Program program(
      "quickstart",
      "From preference pairs and annotations to a beta schedule, a trained policy and pictures.");
  program.option("--pairs", &options.pairs, "Preference pairs, JSON Lines").required().keep_last();
  program.option("--annotations", &options.annotations, "Annotations of these pairs, JSON Lines")
      .required()
      .keep_last();
  program.option("--out", &options.out, "Folder for the results").show_default().keep_last();
  program.option("--id-field", &options.id_field, "Column of the pairs that holds the id");
  program.option("--context", &settings.context, "Bytes that the model reads")
      .show_default()
      .between(16, 4096);
  program.option("--warm-up-steps", &settings.warm_up_steps, "Steps of next-token training")
      .show_default()
      .between(1, 1000000);
  program.option("--steps", &settings.steps, "Steps of DPO").show_default().between(1, 1000000);
  program.option("--seeds", &settings.seeds, "Runs of each arm").show_default().between(1, 1000);
  program.option("--workers", &settings.workers, "Concurrent runs").show_default().between(1, 256);
  program.option("--time-limit", &options.time_limit, "Seconds after which training stops")
      .show_default()
      .positive();
  if (const auto status = program.parse(argc, argv)) return *status;
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "quickstart: {}\n", error.what());
    return 1;
  }
}
