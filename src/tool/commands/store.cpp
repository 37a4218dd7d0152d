// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/io/output_file.hpp>
#include <sp2dpo/io/schedule.hpp>

namespace sp2dpo::tool {

namespace {

using annotate::Store;

struct Options {
  std::string out;
  std::vector<std::string> in;
};

void merge(const Options& options) {
  Store store(options.out);
  for (const auto& file : options.in) {
    const auto merged = store.merge(file);
    fmt::print("{}: {} answers are new, {} were there", file, merged.answers, merged.known);
    if (merged.different > 0)
      fmt::print("; {} differ from those in {}, which stay", merged.different, options.out);
    fmt::print("\n");
  }
}

/// Bytes that are no text have no place in JSON.
std::string body_field(const std::string& body) {
  try {
    return "\"body\":" + io::json_value(std::string_view(body));
  } catch (const InvalidArgument&) {
    std::string hex;
    for (const unsigned char byte : body) fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
    return "\"body_hex\":\"" + hex + '"';
  }
}

void write(const Options& options) {
  const Store store(options.in.front(), Store::Access::read);
  io::OutputFile out(options.out);
  std::int64_t count = 0;
  store.each_answer([&](const annotate::StoredAnswer& answer) {
    const auto request = store.request(answer.key);
    std::string line = fmt::format(R"({{"ask":{},"attempts":{},{},)", answer.ask, answer.attempts,
                                   body_field(answer.body));
    if (answer.usage)
      line += fmt::format(R"("completion_tokens":{},)", answer.usage->completion_tokens);
    line += fmt::format("\"created\":{},", answer.created);
    if (request) line += fmt::format("\"family\":{},", io::json_value(request->family));
    line += fmt::format(R"("http_status":{},"key":"{}",)", answer.http_status, answer.key);
    if (request) line += fmt::format("\"model\":{},", io::json_value(request->model));
    if (answer.usage) line += fmt::format(R"("prompt_tokens":{},)", answer.usage->prompt_tokens);
    line += fmt::format("\"request_id\":{},\"seconds\":{}}}\n", io::json_value(answer.request_id),
                        answer.seconds);
    out.write(line);
    ++count;
  });
  out.commit();
  fmt::print("{} is written: {} answers\n", options.out, count);
}

}  // namespace

Run declare_store(args::Command app) {
  const auto options = std::make_shared<Options>();
  app.require_subcommand();
  auto merging = app.subcommand("merge", "Take the answers of other stores into one");
  merging.option("OUT", &options->out, "Store that takes them in, made where there is none")
      .required();
  merging.option("IN", &options->in, "Stores that stay as they are").required();
  auto exporting = app.subcommand("export", "Write every raw answer as a line of JSON");
  exporting.option("STORE", &options->in, "The store").required().takes(1);
  exporting.option("--out", &options->out, "File to write, .jsonl").required();
  return [options, merging] {
    if (merging.chosen()) {
      merge(*options);
    } else {
      write(*options);
    }
  };
}

}  // namespace sp2dpo::tool
