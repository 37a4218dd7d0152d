// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::tool {

namespace {

using annotate::Store;

struct StoreOptions {
  std::string out;
  std::vector<std::string> in;
};

void merge(const StoreOptions& options) {
  Store store(options.out);
  for (const auto& file : options.in) {
    const auto merged = store.merge(file);
    fmt::print("{}: {} answers are new, {} were there", file, merged.answers, merged.known);
    if (merged.different > 0)
      fmt::print("; {} differ from those in {}, which stay", merged.different, options.out);
    fmt::print("\n");
  }
}

bool is_utf8(std::string_view bytes) {
  try {
    text::require_utf8(bytes);
    return true;
  } catch (const InvalidArgument&) {
    return false;
  }
}

/// Bytes that are not UTF-8 have no place in JSON and are written in hex.
void write_body(text::JsonWriter& json, const std::string& body) {
  if (is_utf8(body)) {
    json.key("body").text(body);
    return;
  }
  std::string hex;
  for (const unsigned char byte : body) fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
  json.key("body_hex").text(hex);
}

std::string line_of(const annotate::StoredAnswer& answer, const Store& store) {
  const auto request = store.request(answer.key);
  std::string line;
  text::JsonWriter json(line);
  json.open('{');
  json.key("ask").integer(answer.ask);
  json.key("attempts").integer(answer.attempts);
  write_body(json, answer.body);
  if (answer.usage) json.key("completion_tokens").integer(answer.usage->completion_tokens);
  json.key("created").integer(answer.created);
  if (request) json.key("family").text(request->family);
  json.key("http_status").integer(answer.http_status);
  json.key("key").text(answer.key);
  if (request) json.key("model").text(request->model);
  if (answer.usage) json.key("prompt_tokens").integer(answer.usage->prompt_tokens);
  json.key("request_id").text(answer.request_id);
  json.key("seconds").raw(fmt::format("{}", answer.seconds));
  json.close('}');
  return line + '\n';
}

void write(const StoreOptions& options) {
  const Store store(options.in.front(), Store::Access::read);
  io::OutputFile out(options.out);
  std::int64_t count = 0;
  store.each_answer([&](const annotate::StoredAnswer& answer) {
    out.write(line_of(answer, store));
    ++count;
  });
  out.commit();
  fmt::print("{} is written: {} answers\n", options.out, count);
}

}  // namespace

Run declare_store(args::Command app) {
  const auto options = std::make_shared<StoreOptions>();
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
